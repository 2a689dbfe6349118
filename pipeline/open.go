package pipeline

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"ingest/detect"
	"ingest/formats"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/sources"
)

// sourceError adds to a source's error which source it is of, for errors that
// do not say more: the path of a file, the scheme and host of a URL, whose rest
// may be secret.
func sourceError(err error, ref string) error {
	e, ok := errcode.As(err)
	if !ok || e.Evidence != nil || !strings.HasPrefix(string(e.Code), "IMG_SOURCE_") {
		return err
	}
	ev := errcode.Evidence{Structure: "source", Field: "url"}
	if !strings.Contains(ref, "://") {
		ev.Value = ref
	} else if u, err := url.Parse(ref); err == nil && u.User == nil {
		ev.Value = (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
		if u.Scheme == "file" {
			ev.Value = u.Path
		}
	}
	return e.With(ev)
}

// An opened is a fetched source, open for reading at random.
type opened struct {
	io.ReaderAt
	size   int64
	closer io.Closer
	check  func(context.Context) error
}

func (o *opened) Close() error { return o.closer.Close() }

// A checker is a source that can tell, after reading, whether it was still the
// pinned version.
type checker interface {
	Check(ctx context.Context) error
}

// open opens what Fetch found: the staged copy, or the source itself, which
// must still be the pinned version. The context ends all reads.
func (p *Pipeline) open(ctx context.Context, taskID string, f contract.Fetched) (*opened, error) {
	if f.Staged {
		return p.openStaged(taskID, f)
	}
	src, err := p.Sources.Open(ctx, sources.Ref{URL: f.URL, Credential: f.Credential}, pinOf(f))
	if err != nil {
		return nil, err
	}
	r, err := src.ReaderAt(ctx)
	if err != nil {
		return nil, errors.Join(err, src.Close())
	}
	out := &opened{ReaderAt: r, size: f.Size, closer: src, check: func(context.Context) error { return nil }}
	if c, ok := src.(checker); ok {
		out.check = c.Check
	}
	return out, nil
}

func (p *Pipeline) openStaged(taskID string, f contract.Fetched) (*opened, error) {
	s := p.staging(taskID)
	file, err := os.Open(s.data())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errcode.Wrap(err, errcode.StagingLost, "the staged source is gone")
	}
	if err != nil {
		return nil, err
	}
	c := s.load()
	if st, err := file.Stat(); err != nil || !c.Done || c.Off != f.Size || st.Size() != f.Size {
		file.Close()
		return nil, errcode.New(errcode.StagingLost, "the staged source is not whole")
	}
	return &opened{
		ReaderAt: sparseFile{file, f.Size}, size: f.Size, closer: file,
		check: func(context.Context) error { return nil },
	}, nil
}

// A sparseFile is a file that knows its holes.
type sparseFile struct {
	*os.File
	size int64
}

func (f sparseFile) NextData(off int64) (start, end int64, err error) {
	return fsutil.NextData(f.File, off, f.size)
}

var _ formats.DataFinder = sparseFile{}

// openDisk opens a source and the disk in it; both are to be closed. read, if
// not nil, is told of all bytes that are read from the source. The members stay
// the caller's.
func (p *Pipeline) openDisk(ctx context.Context, taskID string, f contract.Fetched, declared string, read func(n int), members ...formats.Member) (formats.Disk, *opened, detect.Report, error) {
	src, err := p.open(ctx, taskID, f)
	if err != nil {
		return nil, nil, detect.Report{}, err
	}
	if read != nil {
		src.ReaderAt = watch(src.ReaderAt, read)
	}
	// Not src itself, which would hide that the reader knows its holes.
	rep, disk, err := p.detect().Detect(ctx, src.ReaderAt, src.size, detect.Options{Declared: formats.Name(declared), Limits: p.Limits, Members: members})
	if err != nil {
		return nil, nil, rep, errors.Join(err, src.Close())
	}
	return disk, src, rep, nil
}

// Detect finds out what the source is.
func (p *Pipeline) Detect(ctx context.Context, d contract.DetectParams) (contract.Detected, detect.Report, error) {
	disk, src, rep, err := p.openDisk(ctx, d.TaskID, d.Fetched, d.Format, nil)
	if err != nil {
		return contract.Detected{}, rep, err
	}
	defer src.Close()
	defer disk.Close()
	return contract.Detected{
		Format: string(rep.DiskFormat), Subformat: rep.Subformat,
		VirtualSize: rep.VirtualSize, AllocatedSize: rep.AllocatedSize,
	}, rep, src.check(ctx)
}

// Validate checks the whole structure and fixes the target.
func (p *Pipeline) Validate(ctx context.Context, v contract.ValidateParams) (contract.Validated, []formats.Finding, error) {
	disk, src, _, err := p.openDisk(ctx, v.TaskID, v.Fetched, v.Detected.Format, nil)
	if err != nil {
		return contract.Validated{}, nil, err
	}
	defer src.Close()
	defer disk.Close()
	findings, err := CheckDisk(ctx, disk)
	if err != nil {
		return contract.Validated{}, append(findings, formats.FindingOf(err)), err
	}
	target, err := p.Target(formats.Name(v.Detected.Format), v.Target)
	if err != nil {
		return contract.Validated{}, append(findings, formats.FindingOf(err)), err
	}
	if _, err := p.store(target.Store); err != nil {
		return contract.Validated{}, findings, err
	}
	return contract.Validated{Target: target}, findings, src.check(ctx)
}

// CheckDisk checks a disk's whole structure, and that what the guest sees is
// not again a container that a later program would take for one.
func CheckDisk(ctx context.Context, disk formats.Disk) ([]formats.Finding, error) {
	findings := disk.Info().Findings
	if err := disk.Info().Unreadable; err != nil {
		return findings, err
	}
	if disk.Size() == 0 {
		return findings, errcode.New(errcode.VirtualSizeZero, "the disk has zero bytes")
	}
	if v, ok := disk.(formats.Validator); ok {
		more, err := v.Validate(ctx)
		findings = append(findings, more...)
		if err != nil {
			return findings, err
		}
	}
	nested, err := detect.NestedCheck(disk)
	if err != nil {
		return findings, err
	}
	for _, f := range nested {
		if f.Code == errcode.NestedFormat {
			e := errcode.New(errcode.NestedFormat, "%s", f.Message)
			if f.Evidence != nil {
				e = e.With(*f.Evidence)
			}
			return findings, e
		}
	}
	return append(findings, nested...), nil
}
