package detect

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"ingest/formats"
	"ingest/internal/errcode"
)

// A Detector recognises formats. It is safe for concurrent use.
type Detector struct {
	readers []formats.Format // those that are recognised by a magic
	raw     formats.Format   // nil if raw is not read
	table   []magic
}

// New returns a detector that opens the given formats and refuses all others.
// The reader of raw, which has no magic, takes what nothing else claims.
func New(readers []formats.Format) *Detector {
	d := &Detector{table: magics()}
	for _, f := range readers {
		if f.Name() == formats.Raw {
			d.raw = f
			continue
		}
		d.readers = append(d.readers, f)
	}
	return d
}

// Options are what the caller knows and allows.
type Options struct {
	// Declared is the disk format that the file is said to be of, "" if
	// nothing is said. Glance's "vpc" is understood as vhd. AMI, AKI and ARI
	// are what the file is then said to be: nothing else tells.
	Declared formats.Name
	// Limits bound what opening may cost.
	Limits formats.Limits
	// Members are the image's other files. They are read only as the image
	// refers to them, and refused if its format has none.
	Members []formats.Member
	// Uncounted leaves out the count of allocated bytes, for which every table is
	// read: Allocated counts them.
	Uncounted bool
}

// Detect recognises the file of size bytes in r and opens it. Either it returns
// a disk, which the caller closes, a report that says safe, and no error; or no
// disk, a report whose last finding refuses the file, and that refusal, which
// carries an *errcode.Error. If the context ends first, the error is its cause,
// which says nothing about the file: the report then has no such finding.
func (d *Detector) Detect(ctx context.Context, r io.ReaderAt, size int64, opt Options) (Report, formats.Disk, error) {
	in := &inspection{Detector: d, declared: canonical(opt.Declared), opt: opt, report: newReport(size)}
	disk, err := in.run(ctx, r, size)
	if ctx.Err() != nil {
		if disk != nil {
			disk.Close()
		}
		return in.report, nil, context.Cause(ctx)
	}
	if err != nil {
		in.report.refuse(err)
		return in.report, nil, err
	}
	in.report.Safe = true
	return in.report, disk, nil
}

// canonical maps the names that other programs use to those of formats.
func canonical(n formats.Name) formats.Name {
	switch n = formats.Name(strings.ToLower(strings.TrimSpace(string(n)))); n {
	case "vpc":
		return formats.VHD
	case "parallels":
		return formats.Parallels
	}
	return n
}

// An inspection is one call of Detect.
type inspection struct {
	*Detector
	declared formats.Name
	opt      Options
	w        window
	report   Report
	partial  bool           // the file's end is not there: what it may tell stays open
	layers   []formats.Name // that are taken off before: nothing is said about them
}

func (in *inspection) run(ctx context.Context, r io.ReaderAt, size int64) (formats.Disk, error) {
	if size <= 0 {
		return nil, in.report.fail("file size", errcode.New(errcode.Empty, "the file has no bytes"))
	}
	in.report.pass("file size", "%d bytes", size)
	w, err := readWindow(r, size)
	if err != nil {
		return nil, in.report.fail("first and last bytes", err)
	}
	in.w = w
	c, err := in.decide()
	if err != nil {
		return nil, err
	}
	disk, err := in.open(r, c)
	if err != nil {
		return nil, err
	}
	if err := in.examine(ctx, disk, c); err != nil {
		disk.Close()
		return nil, err
	}
	return disk, nil
}

// decide names the one format that the file is of, or refuses it.
func (in *inspection) decide() (claim, error) {
	claims, err := in.claims(in.w)
	if err != nil {
		return claim{}, in.report.fail("magic", err)
	}
	switch {
	case len(claims) == 0:
		in.report.pass("magic", "none: the bytes are the disk's own")
	default:
		in.report.pass("magic", "%s", describe(claims))
		in.report.seen(claims[0].evidence(""))
	}
	if err := in.unambiguous(claims); err != nil {
		return claim{}, in.report.fail("one format only", err)
	}
	where := "first and last bytes"
	if in.partial {
		where = "first bytes"
	}
	in.report.pass("one format only", "no other format's magic in the %s", where)
	if len(claims) == 0 || carries(in.declared, claims[0]) {
		return in.unclaimed()
	}
	c := claims[0]
	in.report.name(c)
	if c.kind == layerKind && slices.Contains(in.layers, c.name) {
		return c, errRest
	}
	if c.kind == layerKind || (c.kind == luksKind && c.reader == nil) {
		return c, in.report.fail("accepted format", in.refusal(c))
	}
	if err := in.agrees(c); err != nil {
		return c, in.report.fail("declared format", err)
	}
	if c.reader == nil {
		return c, in.report.fail("accepted format", in.refusal(c))
	}
	in.report.pass("accepted format", "%s", c.name)
	return c, nil
}

// unclaimed decides about a file that nothing recognises, but for what a kernel
// or a ramdisk is packed with.
func (in *inspection) unclaimed() (claim, error) {
	c := claim{name: formats.Raw, what: "a raw disk", reader: in.raw}
	if Opaque(in.declared) {
		c.name, c.what, c.container = in.declared, "an "+string(in.declared), string(in.declared)
	}
	if in.partial && (in.declared == "" || in.declared == c.name || knownByTail(in.declared) || in.w.volume == nil) {
		return c, errRest
	}
	if in.declared != "" && in.declared != c.name {
		err := errcode.New(errcode.FormatUnknown, "the file is declared as %q, but has nothing of it and of no other known format", clip(string(in.declared))).
			With(errcode.Evidence{Format: clip(string(in.declared)), Structure: "first and last bytes", Field: "magic", Offset: errcode.At(0), Value: quote(in.w.head[:min(8, len(in.w.head))])})
		return c, in.report.fail("declared format", err)
	}
	in.report.name(c)
	in.agreement(string(c.name))
	if c.reader == nil {
		return c, in.report.fail("accepted format", in.refusal(c))
	}
	in.report.pass("accepted format", "%s", c.name)
	return c, nil
}

// agrees checks a claim against what was declared.
func (in *inspection) agrees(c claim) error {
	if in.declared == "" || in.declared == c.name {
		in.agreement(string(c.name))
		return nil
	}
	return errcode.New(errcode.FormatMismatch, "the file is declared as %q but is %s", clip(string(in.declared)), c.what).
		With(c.evidence("declared " + clip(string(in.declared))))
}

func (in *inspection) agreement(found string) {
	if in.declared == "" {
		in.report.skip("declared format", "nothing was declared; found %s", found)
		return
	}
	in.report.pass("declared format", "declared and found %s", found)
}

// refusal says why a recognised format is not read.
func (in *inspection) refusal(c claim) error {
	code, message := errcode.FormatNotAllowed, "the file is "+c.what+", which is not read"
	switch {
	case c.kind == layerKind:
		message = "the file is " + c.what + ", not a disk image itself: unpack it first"
	case c.kind == luksKind && in.declared != formats.LUKS:
		code, message = errcode.LUKSUndeclared, "the whole disk is "+c.what+", whose inside cannot be checked"
	}
	in.report.remedy = c.remedy
	return errcode.New(code, "%s", message).With(c.evidence(""))
}

// open runs the format's own checks of its header, and of its members' headers.
func (in *inspection) open(r io.ReaderAt, c claim) (disk formats.Disk, err error) {
	err = guard(string(c.name), func() error {
		disk, err = in.openSet(r, c)
		if err == nil && Opaque(c.name) {
			disk = opaque{disk, c.name}
		}
		return err
	})
	if err != nil {
		return nil, in.report.fail("header", coded(err, "open "+string(c.name)))
	}
	in.report.pass("header", "well-formed and within limits")
	return disk, nil
}

// openSet opens the disk with its members, if there are any.
func (in *inspection) openSet(r io.ReaderAt, c claim) (formats.Disk, error) {
	if len(in.opt.Members) == 0 {
		return c.reader.Open(r, in.w.size, in.opt.Limits)
	}
	set, ok := c.reader.(formats.SetFormat)
	if !ok {
		in.report.remedy = "Leave the members out; or name first the file that refers to the others (a VMDK descriptor, the youngest child), and it with them."
		return nil, errcode.New(errcode.BadRequest, "the file is %s, which is read without members", c.what).
			With(errcode.Evidence{Format: string(c.name), Structure: "members", Value: clip(in.opt.Members[0].Name), Limit: "none"})
	}
	return set.OpenSet(r, in.w.size, in.opt.Members, in.opt.Limits)
}

// guard turns a panic of a format's reader into a refusal: whatever bug a
// crafted image finds there must not take the process down.
func guard(format string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errcode.Wrap(fmt.Errorf("panic: %v", p), errcode.ParserCrash, "the reader of %s failed", format).
				With(errcode.Evidence{Format: format})
		}
	}()
	return f()
}

// coded gives an error of a reader that has no code the one for bugs.
func coded(err error, doing string) error {
	if _, ok := errcode.As(err); ok {
		return err
	}
	return errcode.Wrap(err, errcode.Internal, "%s", doing)
}
