package overlay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"ingest/formats"
	"ingest/internal/errcode"
)

// In returns err with the name of the member that it comes from in its message
// and evidence; its code stays. nil and io.EOF are returned as they are.
func In(member string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	e, ok := errcode.As(err)
	if !ok {
		return fmt.Errorf("member %s: %w", Quote(member), err)
	}
	out := errcode.Wrap(err, e.Code, "in member %s: %s", Quote(member), e.Message)
	if e.Evidence == nil {
		return out
	}
	return out.With(evidence(member, *e.Evidence))
}

// Findings returns the findings with the name of the member that they come
// from.
func Findings(member string, findings []formats.Finding) []formats.Finding {
	out := make([]formats.Finding, 0, len(findings))
	for _, f := range findings {
		f.Message = "in member " + Quote(member) + ": " + f.Message
		if f.Evidence != nil {
			ev := evidence(member, *f.Evidence)
			f.Evidence = &ev
		}
		out = append(out, f)
	}
	return out
}

func evidence(member string, ev errcode.Evidence) errcode.Evidence {
	ev.Structure = strings.TrimSpace("member " + Quote(member) + " " + ev.Structure)
	return ev
}

// Quote makes a file's name fit for messages: in quotation marks, short, and
// without control characters.
func Quote(name string) string {
	const most = 80
	if len(name) > most {
		name = name[:most] + "..."
	}
	return `"` + strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, name) + `"`
}

// named is a disk of a member.
type named struct {
	formats.Disk
	member string
}

var (
	_ formats.Disk      = (*named)(nil)
	_ formats.Validator = (*named)(nil)
)

// Named returns the disk with the member's name in all its errors and
// findings.
func Named(d formats.Disk, member string) formats.Disk { return &named{d, member} }

func (d *named) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.Disk.ReadAt(p, off)
	return n, In(d.member, err)
}

func (d *named) ExtentAt(off int64) (formats.Extent, error) {
	e, err := d.Disk.ExtentAt(off)
	return e, In(d.member, err)
}

func (d *named) Info() formats.Info {
	info := d.Disk.Info()
	info.Findings = Findings(d.member, info.Findings)
	info.Unreadable = In(d.member, info.Unreadable)
	return info
}

// Validate checks the disk if it can be checked.
func (d *named) Validate(ctx context.Context) ([]formats.Finding, error) {
	v, ok := d.Disk.(formats.Validator)
	if !ok {
		return nil, nil
	}
	findings, err := v.Validate(ctx)
	return Findings(d.member, findings), In(d.member, err)
}
