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
	"ingest/formats/overlay"
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

// An opened is a fetched file, open for reading at random.
type opened struct {
	io.ReaderAt
	name   string // of a member, "" for the first file
	size   int64
	closer io.Closer
	check  func(context.Context) error
}

// An openedSet is all files of an image, the first one first.
type openedSet []*opened

// Close closes all files.
func (s openedSet) Close() error {
	var errs []error
	for _, f := range s {
		errs = append(errs, f.closer.Close())
	}
	return errors.Join(errs...)
}

// check returns errcode.SourceChanged if a file has changed since it was pinned.
func (s openedSet) check(ctx context.Context) error {
	for _, f := range s {
		if err := f.check(ctx); err != nil {
			return named(f.name, err)
		}
	}
	return nil
}

// members returns the files behind the first one, as formats take them.
func (s openedSet) members() []formats.Member {
	var out []formats.Member
	for _, f := range s[1:] {
		// Not f itself, which would hide that the reader knows its holes.
		out = append(out, formats.Member{Name: f.name, R: f.ReaderAt, Size: f.size})
	}
	return out
}

// named names a member in an error.
func named(member string, err error) error {
	if member == "" {
		return err
	}
	return overlay.In(member, err)
}

// A checker is a source that can tell, after reading, whether it was still the
// pinned version.
type checker interface {
	Check(ctx context.Context) error
}

// openSet opens all files that Fetch found. The context ends all reads.
func (p *Pipeline) openSet(ctx context.Context, taskID string, f contract.Fetched) (openedSet, error) {
	staged := p.staging(taskID)
	first, err := p.open(ctx, staged, f)
	if err != nil {
		return nil, err
	}
	set := openedSet{first}
	for i, m := range f.Members {
		file, err := p.open(ctx, staged.member(i), m.Fetched)
		if err != nil {
			return nil, errors.Join(named(m.Name, err), set.Close())
		}
		file.name = m.Name
		set = append(set, file)
	}
	return set, nil
}

// open opens one file: the staged copy, or the source itself, which must still
// be the pinned version.
func (p *Pipeline) open(ctx context.Context, s staging, f contract.Fetched) (*opened, error) {
	if f.Staged {
		return openStaged(s, f.Size)
	}
	src, err := p.Sources.Open(ctx, sources.Ref{URL: f.URL, Credential: f.Credential, Project: f.Project}, pinOf(f))
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

func openStaged(s staging, size int64) (*opened, error) {
	file, err := os.Open(s.data())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errcode.Wrap(err, errcode.StagingLost, "the staged source is gone")
	}
	if err != nil {
		return nil, err
	}
	c := s.load()
	if st, err := file.Stat(); err != nil || !c.Done || c.Off != size || st.Size() != size {
		file.Close()
		return nil, errcode.New(errcode.StagingLost, "the staged source is not whole")
	}
	return &opened{
		ReaderAt: sparseFile{file, size}, size: size, closer: file,
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

// openDisk opens the files of an image and the n-th disk in them, from 1; 0 means
// the first. Both are to be closed. wrap puts something around each file. soft are codes
// that warn instead of refusing.
func (p *Pipeline) openDisk(ctx context.Context, taskID string, f contract.Fetched, declared string, n int, soft []errcode.Code, wrap func(io.ReaderAt) io.ReaderAt) (formats.Disk, openedSet, detect.Report, error) {
	set, err := p.openSet(ctx, taskID, f)
	if err != nil {
		return nil, nil, detect.Report{}, err
	}
	for _, file := range set {
		file.ReaderAt = wrap(file.ReaderAt)
	}
	in, rep, err := p.lookInto(ctx, set, f, declared)
	in.soft = soft
	var disk formats.Disk
	if err == nil {
		disk, rep, err = in.open(ctx, n)
	}
	if err != nil {
		return nil, nil, rep, errors.Join(err, set.Close())
	}
	return disk, set, rep, nil
}

// Detect finds out what the source is.
func (p *Pipeline) Detect(ctx context.Context, d contract.DetectParams) (contract.Detected, detect.Report, error) {
	set, err := p.openSet(sources.WithTables(ctx), d.TaskID, d.Fetched)
	if err != nil {
		return contract.Detected{}, detect.Report{}, err
	}
	defer set.Close()
	in, rep, err := p.lookInto(ctx, set, d.Fetched, declaredOf(d))
	in.soft = d.Soft
	if err == nil && d.AsIs {
		err = in.asSaid(rep, d.Fetched.About.ContainerFormat)
	}
	if err == nil {
		rep, err = in.openAll(ctx)
	}
	if err != nil {
		return contract.Detected{}, rep, err
	}
	return in.detected(rep), rep, set.check(ctx)
}

// Validate checks the whole structure, and fixes the target and the level of
// verification.
func (p *Pipeline) Validate(ctx context.Context, v contract.ValidateParams) (contract.Validated, []formats.Finding, error) {
	set, err := p.openSet(sources.WithTables(ctx), v.TaskID, v.Fetched)
	if err != nil {
		return contract.Validated{}, nil, err
	}
	defer set.Close()
	format := v.Detected.Disk(v.Disk).Format
	findings, err := p.validate(ctx, set, v, format)
	if err != nil {
		return contract.Validated{}, append(findings, formats.FindingOf(err)), err
	}
	target, err := p.target(formats.Name(format), v.Fetched.About, v.Target)
	if err == nil {
		err = p.fits(target, v.Detected.Disk(v.Disk).VirtualSize)
	}
	if err != nil {
		return contract.Validated{}, append(findings, formats.FindingOf(err)), err
	}
	if _, err := p.store(target.Store); err != nil {
		return contract.Validated{}, findings, err
	}
	verify, err := p.verifyPolicy().Resolve(v.Verify)
	if err != nil {
		return contract.Validated{}, append(findings, formats.FindingOf(err)), err
	}
	out := contract.Validated{Target: target, Verify: verify}
	if v.Stores != nil {
		if out.Stores, err = p.storesOf(*v.Stores, target.Store); err != nil {
			return contract.Validated{}, findings, err
		}
	}
	return out, findings, set.check(ctx)
}

// validate checks one disk, and with the first one what is around all of them.
func (p *Pipeline) validate(ctx context.Context, set openedSet, v contract.ValidateParams, format string) ([]formats.Finding, error) {
	in, _, err := p.lookInto(ctx, set, v.Fetched, format)
	if err != nil {
		return nil, err
	}
	in.soft = v.Soft
	disk, _, err := in.open(ctx, v.Disk)
	if err != nil {
		return nil, err
	}
	defer disk.Close()
	findings, err := CheckDisk(ctx, disk)
	if err == nil && v.Disk <= 1 {
		if err = in.verify(ctx); in.softens(err) {
			findings, err = append(findings, softened(err)), nil
		}
	}
	return findings, err
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
