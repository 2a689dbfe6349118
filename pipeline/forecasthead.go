package pipeline

import (
	"bytes"
	"context"
	"errors"
	"io"

	"ingest/detect"
	"ingest/formats"
	"ingest/formats/writers"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/unwrap"
)

// open opens the files for reading at random, as far as a dry run can: what would be
// staged is read where it lies if its server serves ranges, and otherwise, or within
// a compression, if it is small. Of all else only the begin is looked at; the set is
// then nil.
func (f *forecaster) open(ctx context.Context) (openedSet, contract.Fetched, error) {
	first := f.parts[0]
	fetched := fetchedOf(first.spec, first.project, first.src.Pin())
	for _, pt := range f.parts {
		if pt.layer == "" && !pt.src.Pin().Random && len(f.parts) > 1 {
			f.unknown("what the source is: %s cannot be read at random, so that it must be staged first", pt.label())
			return nil, fetched, nil
		}
	}
	if first.layer != "" || !first.src.Pin().Random {
		return f.head(ctx, first, fetched)
	}
	var set openedSet
	for i, pt := range f.parts {
		file, err := pt.opened(ctx)
		if err != nil {
			return nil, fetched, pt.in(err)
		}
		set = append(set, file)
		if i > 0 {
			fetched.Members = append(fetched.Members, contract.FetchedMember{Name: pt.name, Fetched: fetchedOf(pt.spec, pt.project, pt.src.Pin())})
		}
	}
	return set, fetched, nil
}

func (pt *part) label() string {
	if pt.name == "" {
		return "its first file"
	}
	return pt.name
}

// opened opens a file that can be read at random. The part closes it.
func (pt *part) opened(ctx context.Context) (*opened, error) {
	r, err := pt.src.ReaderAt(ctx)
	if err != nil {
		return nil, err
	}
	return &opened{ReaderAt: r, name: pt.name, size: pt.src.Pin().Size, closer: closers{}, check: pt.check}, nil
}

// check returns errcode.SourceChanged if the file has changed.
func (pt *part) check(ctx context.Context) error {
	src := pt.src
	if b, ok := src.(*begun); ok {
		src = b.Source
	}
	if c, ok := src.(checker); ok {
		return c.Check(ctx)
	}
	return nil
}

// head reads the begin of what is in a file. If that is all of it, it is opened.
func (f *forecaster) head(ctx context.Context, pt *part, fetched contract.Fetched) (openedSet, contract.Fetched, error) {
	h := &headed{size: -1}
	err := h.read(ctx, pt, f.p.unwrapLimits())
	switch {
	case err == nil:
	case errors.Is(err, errSpent) && len(h.data) == 0:
		why := "it needs more of the source than a dry run reads"
		if pt.layer == unwrap.Zip {
			why = "what a zip holds stands at its end, and the server sends no ranges"
		}
		f.unknown("what the source is: %s", why)
		return nil, fetched, errSpent
	case f.b.spent(): // what was read before is looked at
	default:
		return nil, fetched, err
	}
	fetched.Layer, fetched.Staged = string(pt.layer), true
	if pt.layer != "" {
		fetched.SourceSize = pt.src.Pin().Size
	}
	if h.whole {
		if len(h.data) == 0 {
			return nil, fetched, checkSize(0)
		}
		fetched.Size = int64(len(h.data))
		f.out.Staging.Needed, f.out.Staging.Basis = fetched.Size, "read to its end"
		return openedSet{{ReaderAt: bytes.NewReader(h.data), size: fetched.Size, closer: closers{}, check: pt.check}}, fetched, nil
	}
	if h.size >= 0 {
		f.out.Staging.Needed, f.out.Staging.Basis = h.size, "what the zip says of its member"
	}
	f.unknown("structure, allocated size and what is inside: only the first %d bytes of what the source holds were looked at", len(h.data))
	f.stage = contract.StageDetect
	return nil, fetched, f.guess(ctx, h, pt)
}

// A headed is the begin of what is in a file.
type headed struct {
	data  []byte
	whole bool
	size  int64 // of all of it, bytes, contract.Unknown if that is not known
}

// read reads the begin. What was read before an error is there.
func (h *headed) read(ctx context.Context, pt *part, lim unwrap.Limits) error {
	in, stop, err := h.input(ctx, pt, lim)
	if err != nil {
		return err
	}
	defer stop()
	buf := make([]byte, ForecastUnpacked)
	n, err := io.ReadFull(in, buf)
	h.data = buf[:n]
	if err == io.EOF || err == io.ErrUnexpectedEOF { // ReadFull's own
		h.whole, err = true, nil
	}
	return err
}

// input opens what is in a file for reading it forward.
func (h *headed) input(ctx context.Context, pt *part, lim unwrap.Limits) (io.Reader, func(), error) {
	pin := pt.src.Pin()
	if pt.layer == unwrap.Zip {
		r, size, err := packedZip(ctx, pt)
		if err != nil {
			return nil, nil, err
		}
		m, err := zipMember(r, size, lim)
		if err != nil {
			return nil, nil, err
		}
		h.size = m.Size
		in, err := m.Open(lim)
		return in, func() {}, err
	}
	var in io.Reader
	stop := func() {}
	if pin.Random && pin.Size > 0 {
		r, err := pt.src.ReaderAt(ctx)
		if err != nil {
			return nil, nil, err
		}
		in = io.NewSectionReader(r, 0, pin.Size)
	} else {
		body, err := pt.src.Stream(ctx, 0)
		if err != nil {
			return nil, nil, err
		}
		in, stop = body, func() { body.Close() }
	}
	if pt.layer == "" {
		h.size = pin.Size
		return in, stop, nil
	}
	z, err := unwrap.Open(in, pt.layer, lim)
	if err != nil {
		stop()
		return nil, nil, err
	}
	return z, stop, nil
}

// packedZip opens a zip for reading at random: where it lies, or a small one from
// memory. What a zip holds stands at its end, so that of any other nothing is known,
// and the error is errSpent.
func packedZip(ctx context.Context, pt *part) (io.ReaderAt, int64, error) {
	if pin := pt.src.Pin(); pin.Random {
		r, err := pt.src.ReaderAt(ctx)
		return r, pin.Size, err
	}
	body, err := pt.src.Stream(ctx, 0)
	if err != nil {
		return nil, 0, err
	}
	defer body.Close()
	all, err := io.ReadAll(io.LimitReader(body, ForecastUnpacked+1))
	if err == nil && len(all) > ForecastUnpacked {
		err = errSpent
	}
	return bytes.NewReader(all), int64(len(all)), err
}

// guess says what can be said of a file by its begin.
func (f *forecaster) guess(ctx context.Context, h *headed, pt *part) error {
	look := f.p.looking(ctx, pt.src.Pin().Size, contract.FetchParams{Source: f.req.Source})
	if pt.layer != "" {
		look = look.within()
		look.stream.Size = h.size
	}
	rep, err := f.p.detect().Head(ctx, h.data, look.stream)
	if pt.layer != "" {
		rep.Layers = []string{string(pt.layer)}
	}
	if err != nil && (look.stream.Members || !boxed(rep, err)) {
		f.report(rep)
		return err
	}
	f.report(rep)
	d := contract.Detected{Format: string(rep.DiskFormat), Subformat: rep.Subformat, VirtualSize: contract.Unknown, AllocatedSize: contract.Unknown}
	f.header(ctx, h, &d)
	if d.Format == "" {
		f.unknown("format: the begin of the file does not decide")
		return nil
	}
	kept := rep.DiskFormat == detect.Docker
	if kept {
		d.Container, d.VirtualSize = d.Format, h.size
	}
	if !kept && boxed(rep, errcode.New(errcode.FormatNotAllowed, "")) {
		d.Container, d.Format = d.Format, ""
		f.out.Detected = &d
		f.unknown("disks: the %s holds them behind what was looked at", d.Container)
		return f.store(ctx)
	}
	f.out.Detected = &d
	f.stage = contract.StageValidate
	one := f.newDisk(d.Disk(0))
	var errTarget error
	if one.Target, one.Verify, errTarget = f.target(d.Disk(0)); errTarget != nil {
		return errTarget
	}
	if n := formats.Name(d.Format); h.size >= 0 && one.Target.Format == d.Format && verbatim(n) {
		one.Stored = contract.ForecastSize{Bytes: h.size, Basis: "the bytes of the source as they are, of which zeros may take no room"}
	}
	f.out.Disks = append(f.out.Disks, one)
	return f.store(ctx)
}

// header takes what the header of an image tells from the begin of the file: the
// rest reads as zeros. What stands there is not judged.
func (f *forecaster) header(ctx context.Context, h *headed, d *contract.Detected) {
	size := h.size
	if size < 0 {
		size = max(f.p.Limits.VirtualSize, int64(len(h.data)))
	}
	if _, ok := writers.Find(d.Format); !ok && d.Format != string(formats.Parallels) {
		return
	}
	if verbatim(formats.Name(d.Format)) {
		d.VirtualSize = h.size
		return
	}
	rep, disk, err := f.p.detect().Detect(ctx, begin{h.data, size}, size, detect.Options{
		Declared: formats.Name(d.Format), Limits: f.p.Limits, Uncounted: true})
	if err != nil {
		return
	}
	d.Subformat, d.VirtualSize = rep.Subformat, rep.VirtualSize
	_ = disk.Close() // nothing is held that could fail
}

// A begin is a file of size bytes whose bytes behind data read as zeros.
type begin struct {
	data []byte
	size int64
}

// ReadAt reads len(p) bytes at off.
func (b begin) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > b.size {
		return 0, errors.New("read outside the file")
	}
	n := min(int64(len(p)), b.size-off)
	clear(p[:n])
	if off < int64(len(b.data)) {
		copy(p[:n], b.data[off:])
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}
