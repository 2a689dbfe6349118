package pipeline

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"ingest/formats"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/sources/staged"
)

// StagedHere is the task queue of those who reach what Stage has taken.
func (p *Pipeline) StagedHere() string {
	if p.Anywhere {
		return contract.TransferQueue
	}
	return p.HostQueue
}

// Stage takes the bytes of an import as a client sends them into the staging folder,
// and returns how many they are. What their first MiB refuses is not read any further;
// everything else is found out by the import. Once it returns, the bytes are durable;
// after an error, the caller has Discard remove them.
func (p *Pipeline) Stage(ctx context.Context, u contract.Upload, body io.Reader, reach Reach) (int64, error) {
	in := &intake{p: p, u: u, body: whole{body}, reach: reach}
	layers := []formats.Name{"gzip", "xz", "zstd", "bzip2", "zip", "tar", "ova", "docker"}
	if err := in.start(ctx, layers); err != nil {
		return 0, err
	}
	if err := p.checkSpace(u.Size); err != nil {
		return 0, err
	}
	dir := p.staging(u.ID).dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, spaceError(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, staged.FileName), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, spaceError(err)
	}
	defer f.Close()
	if err := in.run(ctx, f); err != nil {
		return 0, spaceError(err)
	}
	// Zeros at the end are not written.
	return in.off, spaceError(errors.Join(f.Truncate(in.off), fsutil.Datasync(f), fsutil.SyncDir(dir), fsutil.SyncDir(p.StagingDir)))
}

// Discard removes what an upload has left, whatever it came to. It is idempotent.
func (p *Pipeline) Discard(ctx context.Context, u contract.Upload) error {
	if u.Stage {
		return p.staging(u.ID).remove()
	}
	store, err := p.store(u.Store)
	if err != nil {
		return err
	}
	err = discardUpload(ctx, store, u.Key())
	if err != nil && errcode.Of(err) != errcode.UploadUnknown {
		return err
	}
	return store.Delete(ctx, u.Key())
}
