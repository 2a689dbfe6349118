package pipeline

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"ingest/detect"
	"ingest/exports"
	"ingest/exports/file"
	"ingest/formats"
	"ingest/formats/raw"
	"ingest/formats/transfer"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/stores"
)

// Files of an export in the task's staging folder: what the destination wants to be
// remembered, and what is converted before it can be sent.
const (
	exportMemory = "export.json"
	exportFile   = "export.img"
)

// Export sends stored bytes to a destination, converted on the way.
//
// What can be computed at any offset (see formats.Plan) is written where it belongs, or
// sent, without being stored in between. What compresses is written to a file as it is
// made; a destination that takes finished files only gets it by way of the staging folder.
// Whatever can be read at the destination is read back and compared.
func (p *Pipeline) Export(ctx context.Context, c contract.ExportParams, o Observe) (contract.Exported, error) {
	if o == nil {
		o = ignore
	}
	x := &export{p: p, c: c, o: o}
	out, err := x.run(ctx)
	return out, errors.Join(err, x.close())
}

// dropExport removes what an export has left at its destination, unless it is whole.
func (p *Pipeline) dropExport(ctx context.Context, c contract.CleanupParams) error {
	dir := p.staging(c.TaskID).dir
	memory, err := os.ReadFile(filepath.Join(dir, exportMemory))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return errcode.Wrap(err, errcode.StoreUnavailable, "read what is known of an export")
	}
	to := *c.Destination
	t, err := p.Exports.Open(ctx, exports.Destination{URL: to.URL, Credential: to.Credential, Project: c.Project, Overwrite: true, Task: c.TaskID}, memory)
	if err != nil {
		if d := errcode.Lookup(errcode.Of(err)); !d.Retryable {
			return nil // it was refused, or is gone: nothing of ours can lie there
		}
		return err
	}
	return errors.Join(t.Abort(ctx), t.Close())
}

// An export is one attempt.
type export struct {
	p *Pipeline
	c contract.ExportParams
	o Observe

	stored *storedReader
	disk   formats.Disk        // what is written
	target contract.TargetSpec // as which format
	as     string              // the disk format that the file is of
	keeps  bool                // the stored bytes are sent as they are
	to     exports.Target
}

func (x *export) close() error {
	var errs []error
	if x.disk != nil {
		errs = append(errs, x.disk.Close())
	}
	if x.stored != nil {
		errs = append(errs, x.stored.Close())
	}
	if x.to != nil {
		errs = append(errs, x.to.Close())
	}
	return errors.Join(errs...)
}

func (x *export) run(ctx context.Context) (contract.Exported, error) {
	if err := x.open(ctx); err != nil {
		return contract.Exported{}, err
	}
	if err := x.reach(ctx); err != nil {
		return contract.Exported{}, err
	}
	out := contract.Exported{Host: x.p.HostQueue, Destination: x.to.Shown(), DiskFormat: x.as, VirtualSize: x.c.Image.VirtualSize, ContentDigest: x.c.Image.ContentDigest}
	switch to := x.to.(type) {
	case exports.Writable:
		return out, x.write(ctx, to.Upload(), &out)
	case exports.Receiver:
		return out, x.send(ctx, to, &out)
	}
	return out, errcode.New(errcode.Internal, "a destination takes nothing")
}

// open opens the stored bytes as what is written.
func (x *export) open(ctx context.Context) (err error) {
	p, size := x.p, x.c.Image.Size
	if x.stored, err = p.openStored(ctx, x.c.From, size); err != nil {
		return err
	}
	t := x.c.Target
	if t.Format == "" || t.Format == x.c.Image.DiskFormat && t.Compression == "" && len(t.Options) == 0 {
		x.keeps, x.as = true, x.c.Image.DiskFormat
		x.disk, x.target = raw.New(x.stored.readerAt(), size), contract.TargetSpec{Format: string(formats.Raw)}
		return nil
	}
	rep, disk, err := p.detect().Detect(ctx, x.stored.readerAt(), size, detect.Options{Declared: formats.Name(x.c.Image.DiskFormat), Limits: p.Limits, Uncounted: true})
	if err != nil {
		return err
	}
	x.disk = disk
	if err := disk.Info().Unreadable; err != nil {
		return err
	}
	if x.target, err = p.Target(sourceName(rep), t); err != nil {
		return err
	}
	x.as = x.target.StoredAs()
	return p.fits(x.target, disk.Size())
}

// reach opens the destination.
func (x *export) reach(ctx context.Context) (err error) {
	memory, err := os.ReadFile(filepath.Join(x.folder(), exportMemory))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return errcode.Wrap(err, errcode.StoreUnavailable, "read what is known of an export")
	}
	d := x.c.Destination
	x.to, err = x.p.Exports.Open(ctx, exports.Destination{URL: d.URL, Credential: d.Credential, Project: x.c.Project, Overwrite: d.Overwrite, Task: x.c.TaskID}, memory)
	return err
}

func (x *export) folder() string { return x.p.staging(x.c.TaskID).dir }

// remember keeps what the destination wants to be told by another attempt.
func (x *export) remember(memory []byte) error {
	if err := os.MkdirAll(x.folder(), 0o700); err != nil {
		return errcode.Wrap(err, errcode.StoreUnavailable, "make the folder of an export")
	}
	if err := fsutil.WriteDurable(x.folder(), exportMemory, memory); err != nil {
		return errcode.Wrap(err, errcode.StoreUnavailable, "keep what is known of an export")
	}
	return nil
}

// fill writes the file into an upload, and seals it. Notes that fit no plan of today are
// not continued: an upload of an export begins again by being aborted.
func (x *export) fill(ctx context.Context, up stores.Upload) (contract.Converted, error) {
	w, err := x.p.writeDisks(ctx, x.disk, x.target, up, work{hash: true}, x.o)
	if err == nil {
		err = up.Seal(ctx, w.Size)
	}
	return w, err
}

// write makes the file where it will lie.
func (x *export) write(ctx context.Context, up stores.Upload, out *contract.Exported) error {
	w, err := x.fill(ctx, up)
	if err != nil {
		return x.afresh(ctx, up, err)
	}
	out.Size = w.Size
	if err := x.sameContent(w.ContentDigest); err != nil {
		return errors.Join(err, up.Abort(ctx))
	}
	r, err := up.ReaderAt()
	if err != nil {
		return err
	}
	if err := x.readBack(ctx, r, w, out); err != nil {
		if errcode.Of(err) == errcode.VerifyMismatch {
			err = errors.Join(err, up.Abort(ctx))
		}
		return err
	}
	return up.Commit(ctx, stores.Digest{Algo: out.HashAlgo, Hex: out.HashValue, Size: out.Size})
}

// afresh throws an upload away that cannot be continued, so that the next attempt begins
// again.
func (x *export) afresh(ctx context.Context, up stores.Upload, err error) error {
	if !errors.Is(err, errPlanChanged) && !errors.Is(err, transfer.ErrDigestElsewhere) {
		return err
	}
	return errors.Join(errcode.Wrap(err, errcode.DestinationUnreachable, "the export begins again"), up.Abort(ctx))
}

// sameContent compares what was read from the store with what the catalogue says.
func (x *export) sameContent(digest string) error {
	want := x.c.Image.ContentDigest
	if x.keeps || want == "" || digest == want {
		return nil
	}
	return errcode.New(errcode.VerifyMismatch, "the content of image %s is not what it was when it was imported", x.c.Image.ImageID).
		With(errcode.Evidence{Structure: "image", Field: "content digest", Value: digest, Limit: want})
}

// readBack proves what lies at the destination, and takes its digests.
func (x *export) readBack(ctx context.Context, r io.ReaderAt, w contract.Converted, out *contract.Exported) error {
	w.Sums = nil // what was written has no say in what is read
	rb := newReadback(x.p, r, x.target, w, contract.VerifyFull, x.o)
	if err := rb.stored(ctx); err != nil {
		return err
	}
	if err := rb.content(ctx); err != nil {
		return err
	}
	sums := rb.result()
	out.HashAlgo, out.HashValue, out.Checksum = sums.HashAlgo, sums.HashValue, sums.Checksum
	if !x.keeps {
		out.ContentDigest, out.VirtualSize = w.ContentDigest, w.VirtualSize
	}
	out.Verified = true
	return x.sameBytes(*out)
}

// sameBytes compares the digest of bytes that were sent as they are with that of the
// image.
func (x *export) sameBytes(out contract.Exported) error {
	img := x.c.Image
	if !x.keeps || img.HashValue == "" || img.HashAlgo != out.HashAlgo || img.HashValue == out.HashValue {
		return nil
	}
	return errcode.New(errcode.VerifyMismatch, "the bytes of image %s are not those of its digest", img.ImageID).
		With(errcode.Evidence{Structure: "file", Field: out.HashAlgo, Value: out.HashValue, Limit: img.HashValue})
}

// staged opens the file in which what compresses is made before it is sent.
func (x *export) staged(ctx context.Context) (exports.Writable, error) {
	if err := os.MkdirAll(x.folder(), 0o700); err != nil {
		return nil, errcode.Wrap(err, errcode.StoreUnavailable, "make the folder of an export")
	}
	t, err := file.New([]string{x.folder()}).Open(ctx, exports.Destination{URL: filepath.Join(x.folder(), exportFile), Task: x.c.TaskID}, nil)
	if err != nil {
		return nil, err
	}
	return t.(exports.Writable), nil
}
