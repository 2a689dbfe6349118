package overlay

import (
	"context"
	"errors"
	"io"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// model is a layer that shows the runs of a disk that are no holes, and is
// transparent in its holes.
type model struct{ *imgtest.Disk }

func (m model) RunAt(off int64) (Run, error) {
	e, err := m.ExtentAt(off)
	return Run{Extent: e, Transparent: e.State == formats.Hole}, err
}

// merged is what a chain of models shows, the child first.
type merged struct{ layers []*imgtest.Disk }

func (m merged) Size() int64 { return m.layers[0].Size() }

// runs returns the runs of layer i that are stored, cut to what the layers over
// it let through: nothing from behind the end of any of them.
func (m merged) runs(i int) []imgtest.Run {
	least := m.Size()
	for _, d := range m.layers[:i+1] {
		least = min(least, d.Size())
	}
	var out []imgtest.Run
	for _, r := range m.layers[i].Runs() {
		if r.Off < least && r.Kind != imgtest.Hole {
			r.Len = min(r.Len, least-r.Off)
			out = append(out, r)
		}
	}
	return out
}

func (m merged) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for i := len(m.layers) - 1; i >= 0; i-- {
		for _, r := range m.runs(i) {
			start, end := max(r.Off, off), min(r.End(), off+int64(len(p)))
			if start >= end {
				continue
			}
			if n, err := m.layers[i].ReadAt(p[start-off:end-off], start); int64(n) < end-start {
				return 0, err
			}
		}
	}
	return len(p), nil
}

// NextData treats every run that any layer stores as data.
func (m merged) NextData(off int64) (int64, int64, error) {
	first := imgtest.Run{Off: m.Size()}
	for i := range m.layers {
		for _, r := range m.runs(i) {
			if r.Kind.IsData() && r.End() > off && r.Off < first.Off {
				first = r
			}
		}
	}
	return min(m.Size(), max(off, first.Off)), first.End(), nil
}

func TestChainsReadAsTheirModel(t *testing.T) {
	for _, c := range []struct {
		name  string
		sizes []int64 // the child's first
	}{
		{"same size", []int64{5<<20 + 512, 5<<20 + 512}},
		{"parent is longer", []int64{3 << 20, 5 << 20}},
		{"parent is shorter", []int64{5 << 20, 3<<20 + 7}},
		{"five layers", []int64{4 << 20, 4 << 20, 3 << 20, 5 << 20, 4 << 20}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var all []*imgtest.Disk
			for i, size := range c.sizes {
				all = append(all, imgtest.Random(uint64(i)+1, size, size/2))
			}
			formattest.Reader(t, formattest.Spec{Want: merged{all}, Open: func(testing.TB) formats.Disk {
				var d formats.Disk = all[len(all)-1]
				for i := len(all) - 2; i >= 0; i-- {
					d = New(d, model{all[i]})
				}
				return d
			}})
		})
	}
}

// liar is a layer whose runs are not what was asked for.
type liar struct {
	model
	run Run
}

func (l liar) RunAt(int64) (Run, error) { return l.run, nil }

func TestLyingLayersAreNotBelieved(t *testing.T) {
	d := imgtest.Random(1, 1<<20, 1<<19)
	for _, e := range []formats.Extent{{Off: 0, Len: 100}, {Off: 600, Len: 100}, {Off: 0, Len: 0}, {Off: 0, Len: -1}, {Off: -1, Len: 1 << 20}, {Off: 0, Len: 1<<20 + 1}} {
		disk := New(d, liar{model{d}, Run{Extent: e}})
		if _, err := disk.ExtentAt(512); err == nil {
			t.Errorf("extent at 512 from %+v: no error", e)
		}
		if n, err := disk.ReadAt(make([]byte, 10), 512); n != 0 || err == nil {
			t.Errorf("read at 512 from %+v: %d, %v", e, n, err)
		}
	}
}

// sick is a disk whose every answer is an error.
type sick struct {
	formats.Disk
	err error
}

func (s sick) ReadAt([]byte, int64) (int, error)      { return 0, s.err }
func (s sick) ExtentAt(int64) (formats.Extent, error) { return formats.Extent{}, s.err }
func (s sick) Close() error                           { return s.err }
func (s sick) Validate(context.Context) ([]formats.Finding, error) {
	return []formats.Finding{formats.Note(errcode.Contents, formats.SeverityInfo, "odd", errcode.Evidence{Structure: "header"})}, s.err
}

func TestErrorsNameTheMember(t *testing.T) {
	coded := errcode.New(errcode.Truncated, "cut short").With(errcode.Evidence{Format: "vhd", Structure: "BAT"})
	holes := imgtest.New(1<<20, 1)
	for _, c := range []struct {
		err  error
		code errcode.Code
	}{{coded, errcode.Truncated}, {errors.New("disk on fire"), errcode.Internal}} {
		d := New(Named(sick{holes, c.err}, "a\x1bb.vhd"), model{holes})
		_, readErr := d.ReadAt(make([]byte, 512), 0)
		_, extentErr := d.ExtentAt(0)
		findings, checkErr := d.(formats.Validator).Validate(t.Context())
		for _, err := range []error{readErr, extentErr, checkErr} {
			if errcode.Of(err) != c.code || !errors.Is(err, c.err) {
				t.Errorf("%v, want %s and its cause", err, c.code)
			}
			if e, ok := errcode.As(err); ok && (e.Evidence == nil || e.Evidence.Structure != `member "a?b.vhd" BAT` || e.Message != `in member "a?b.vhd": cut short`) {
				t.Errorf("%+v, evidence %+v", e, e.Evidence)
			}
		}
		if len(findings) != 1 || findings[0].Message != `in member "a?b.vhd": odd` || findings[0].Evidence.Structure != `member "a?b.vhd" header` {
			t.Errorf("findings %+v", findings)
		}
		if err := d.Close(); !errors.Is(err, c.err) {
			t.Errorf("close: %v", err)
		}
	}
	if err := In("a", io.EOF); err != io.EOF {
		t.Errorf("end of file became %v", err)
	}
}
