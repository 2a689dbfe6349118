package vhdx

import (
	"context"
	"fmt"

	"ingest/formats"
	"ingest/formats/overlay"
)

// aheadBytes of guest are looked through for where a run ends. Looking further
// would make short reads slow.
const aheadBytes = 1 << 30

// layer is what a differencing disk stores.
type layer struct {
	*disk
	member string // the file's name; "" if it is the one that was opened
}

var (
	_ overlay.Layer     = (*layer)(nil)
	_ formats.Validator = (*layer)(nil)
)

func newLayer(f *file, member string, lim formats.Limits) (*layer, error) {
	lim.CacheBytes /= 2 // half is the bitmaps'
	l := &layer{describe(f, lim), member}
	var err error
	if l.bat, err = newBAT(f.img, f.regions.bat, f.meta, lim); err != nil {
		return nil, err
	}
	l.bits = newBitmaps(l.bat, lim)
	return l, nil
}

// RunAt calls transparent what is a hole in the BAT or the sector bitmap.
func (l *layer) RunAt(off int64) (overlay.Run, error) {
	if off < 0 || off >= l.size {
		return overlay.Run{}, fmt.Errorf("vhdx: run at %d of a disk of %d bytes", off, l.size)
	}
	r, err := l.run(off, min(l.size, off+aheadBytes))
	return overlay.Run{Extent: r.Extent, Transparent: r.State == formats.Hole}, within(l.member, err)
}

func (l *layer) ReadAt(p []byte, off int64) (int, error) {
	n, err := l.disk.ReadAt(p, off)
	return n, within(l.member, err)
}

func (l *layer) Info() formats.Info {
	info := l.disk.Info()
	if l.member != "" {
		info.Findings = overlay.Findings(l.member, info.Findings)
	}
	return info
}

func (l *layer) Validate(ctx context.Context) ([]formats.Finding, error) {
	findings, err := l.disk.Validate(ctx)
	if l.member != "" {
		findings = overlay.Findings(l.member, findings)
	}
	return findings, within(l.member, err)
}

// within returns err with the name of the member that it comes from, if it
// comes from one.
func within(member string, err error) error {
	if member == "" {
		return err
	}
	return overlay.In(member, err)
}
