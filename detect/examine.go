package detect

import (
	"context"
	"strconv"
	"strings"

	"ingest/formats"
	"ingest/internal/errcode"
)

// examine takes an open disk's facts into the report and refuses what cannot
// be read.
func (in *inspection) examine(ctx context.Context, disk formats.Disk, c claim) error {
	if err := in.facts(disk, c); err != nil {
		return err
	}
	if !disk.Info().HolesKnown {
		in.report.skip("allocated size", "a raw file does not tell holes from data")
		return nil
	}
	if in.opt.Uncounted {
		return nil
	}
	n, err := Allocated(ctx, disk)
	if err != nil {
		return in.report.fail("allocated size", err)
	}
	in.report.AllocatedSize = n
	in.report.pass("allocated size", "%d bytes", n)
	return nil
}

// facts takes over what the header tells, and refuses a size that is not
// allowed and data that is not there.
func (in *inspection) facts(disk formats.Disk, c claim) error {
	info := disk.Info()
	in.report.fill(info, c)
	switch c.name {
	case formats.Raw, formats.ISO, AMI, AKI, ARI:
		in.noteContents(c.name)
	}
	if err := in.sized(disk); err != nil {
		return in.report.fail("virtual size", err)
	}
	in.report.pass("virtual size", "%d bytes", disk.Size())
	if info.Unreadable != nil {
		return in.report.fail("self-contained and readable", coded(info.Unreadable, "read "+string(c.name)))
	}
	where := "this file"
	if n := len(in.opt.Members); n > 0 {
		where += " and its members, " + strconv.Itoa(n) + " in all"
	}
	in.report.pass("self-contained and readable", "all data is in %s", where)
	return nil
}

// sized checks the virtual size. Readers do so too: this keeps one that forgot
// from letting a bomb through.
func (in *inspection) sized(disk formats.Disk) error {
	size, limit := disk.Size(), in.opt.Limits.VirtualSize
	ev := errcode.Evidence{Format: string(in.report.DiskFormat), Field: "virtual size", Value: decimal(size), Limit: decimal(limit)}
	if size <= 0 {
		return errcode.New(errcode.VirtualSizeZero, "the image holds a disk of %d bytes", size).With(ev)
	}
	if size > limit {
		return errcode.New(errcode.VirtualSizeTooLarge, "the virtual size is %d bytes, at most %d are allowed", size, limit).With(ev)
	}
	return nil
}

// allocatedStep is how many extents are walked between two looks at the context.
const allocatedStep = 1 << 12

// Allocated counts the disk's data bytes, of one whose holes are known. It walks the extents once: to look for
// the end of a hole again and again would cost the square of a large table.
func Allocated(ctx context.Context, disk formats.Disk) (n int64, err error) {
	err = guard("extents", func() error {
		walked := 0
		for e, err := range formats.Extents(disk, 0, disk.Size()) {
			if err != nil {
				return err
			}
			if walked++; walked%allocatedStep == 0 && ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if e.State == formats.Data {
				n += e.Len
			}
		}
		return ctx.Err()
	})
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return 0, cause
		}
		return 0, coded(err, "walk the disk's extents")
	}
	return n, nil
}

// noteContents tells what is recognised in a file that is its own content. It
// never refuses.
func (in *inspection) noteContents(n formats.Name) {
	ev := errcode.Evidence{Structure: "first and last bytes"}
	if webPage(in.w) {
		ev.Value = quote(in.w.head)
		f := formats.Note(errcode.Contents, formats.SeverityWarning, "the file begins as an HTML page: its URL may lead to a download page instead of the image", ev)
		f.Remedy = "Check the URL in a browser, and give that of the image itself."
		in.report.Findings = append(in.report.Findings, f)
		return
	}
	if mayBeCompressed(n) {
		in.noteParts(n)
		return
	}
	message := "no partition table or file system is recognised"
	if found := contents(in.w); len(found) > 0 {
		ev.Value = strings.Join(found, ", ")
		message = "the disk begins with: " + ev.Value
	}
	in.report.Findings = append(in.report.Findings, formats.Note(errcode.Contents, formats.SeverityInfo, message, ev))
}
