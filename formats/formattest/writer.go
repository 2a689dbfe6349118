package formattest

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"ingest/formats"
	"ingest/internal/imgtest"
)

// A WriterSpec is one way of writing a format: a planner, an encoder, or both
// with the same options.
type WriterSpec struct {
	// Format reads what is written.
	Format formats.Format
	// Planner is nil if there is none.
	Planner formats.Planner
	// Encoder returns the encoder with so many workers. nil if there is none.
	Encoder func(workers int) formats.Encoder
	// Same is set if both write the same bytes of a source whose extents are
	// exact.
	Same bool
	// VirtualSize returns the virtual size that a source of the given size is
	// rounded up to, both in bytes. nil means to whole sectors of 512 bytes.
	VirtualSize func(size int64) int64
	// Qemu is qemu-img's name of the format, "" if it has none.
	Qemu string
	// QemuOptions are further options of qemu's driver, such as
	// "force_size_calc" of vpc.
	QemuOptions map[string]string
	// QemuCheck is set if `qemu-img check` knows the format.
	QemuCheck bool
	// Disks replace those of WriterCases.
	Disks []imgtest.Case
}

// WriterCases returns the disks that every writer has to carry: those of
// imgtest.Cases and some that do not end at a sector.
func WriterCases() []imgtest.Case {
	const mib = 1 << 20
	return append(imgtest.Cases(),
		imgtest.Case{Name: "one byte", Disk: imgtest.New(1, 30, imgtest.Run{Off: 0, Len: 1, Kind: imgtest.Noise})},
		imgtest.Case{Name: "ends within a sector", Disk: imgtest.New(3*mib+77, 31, imgtest.Run{Off: 2 * mib, Len: mib + 77, Kind: imgtest.Text})},
		imgtest.Case{Name: "random with an odd size", Disk: imgtest.Random(32, 30*mib+12345, 9*mib)},
		imgtest.Case{Name: "random above 4 GiB", Disk: imgtest.Random(33, 4<<30+7*512, 5*mib)},
	)
}

// Writer runs the writers' half of the suite. What is written is read back by
// the format's own reader and by qemu-img. A plan's ranges, places and holes are
// held against its bytes; an encoder is crashed and resumed; both give the same
// bytes every time.
func Writer(t *testing.T, w WriterSpec) {
	t.Helper()
	disks := w.Disks
	if disks == nil {
		disks = WriterCases()
	}
	for _, c := range disks {
		t.Run(c.Name, func(t *testing.T) { w.Disk(t, c.Disk) })
	}
	if w.Encoder == nil {
		return
	}
	t.Run("crashed and resumed", func(t *testing.T) {
		w.Resumes(t, imgtest.Random(40, 48<<20+3*512, 20<<20))
	})
	t.Run("crashed and resumed above 4 GiB", func(t *testing.T) {
		w.Resumes(t, imgtest.Random(41, 6<<30+512, 12<<20))
	})
	t.Run("foreign checkpoint", func(t *testing.T) { w.checkForeign(t, imgtest.Random(42, 24<<20, 12<<20)) })
}

// Disk writes one disk in every way that there is, and checks what is written.
func (w WriterSpec) Disk(t *testing.T, disk *imgtest.Disk) {
	raw := imgtest.WriteRaw(t, disk)
	planned, encoded := filepath.Join(t.TempDir(), "planned"), filepath.Join(t.TempDir(), "encoded")
	if w.Planner != nil {
		t.Run("plan", func(t *testing.T) {
			w.CheckImage(t, planned, w.checkPlan(t, disk, planned), disk, raw)
			w.checkPlanFails(t, disk)
		})
	}
	if w.Encoder != nil {
		t.Run("encoder", func(t *testing.T) {
			r, sum := Record(t, w.Encoder(4), disk, nil)
			if err := os.WriteFile(encoded, r.Bytes, 0o600); err != nil {
				t.Fatal(err)
			}
			w.CheckImage(t, encoded, sum, disk, raw)
			if one, _ := Record(t, w.Encoder(1), disk, nil); !bytes.Equal(one.Bytes, r.Bytes) {
				t.Error("one worker writes other bytes than four")
			}
			w.checkEncoderFails(t, disk)
		})
	}
	if w.Same && !t.Failed() {
		a, b := imgtest.OpenFile(t, planned), imgtest.OpenFile(t, encoded)
		if a.Size() != b.Size() {
			t.Fatalf("the plan has %d bytes, the encoder wrote %d", a.Size(), b.Size())
		}
		imgtest.Equal(t, b, a, a.Size())
	}
}

// virtualSize returns what a source's size is rounded up to.
func (w WriterSpec) virtualSize(size int64) int64 {
	if w.VirtualSize != nil {
		return w.VirtualSize(size)
	}
	return (size + 511) / 512 * 512
}

// CheckImage fails the test unless the image file holds the disk, which raw is
// a file of: for the format's own reader, which finds nothing to say, and for
// qemu-img. Up to the image's virtual size the disk is followed by zeros.
func (w WriterSpec) CheckImage(t *testing.T, path string, sum formats.Summary, disk imgtest.Content, raw string) {
	t.Helper()
	file := imgtest.OpenFile(t, path)
	want := formats.Summary{Format: w.Format.Name(), FileSize: file.Size(), VirtualSize: w.virtualSize(disk.Size())}
	if sum != want {
		t.Fatalf("summary %+v, want %+v", sum, want)
	}
	content := padded{disk, sum.VirtualSize}
	open := OpenBytes(w.Format, file, file.Size())
	Reader(t, Spec{Open: open, File: file, Want: content})
	if v, ok := open(t).(formats.Validator); ok {
		findings, err := v.Validate(t.Context())
		for _, f := range findings {
			if f.Severity != formats.SeverityInfo {
				t.Errorf("validate: %s: %s", f.Code, f.Message)
			}
		}
		if err != nil {
			t.Errorf("validate: %v", err)
		}
	}
	if w.Qemu != "" {
		w.checkQemu(t, path, content, raw)
	}
}

// checkQemu holds an image against what qemu-img makes of it.
func (w WriterSpec) checkQemu(t *testing.T, path string, want padded, raw string) {
	t.Helper()
	node := w.qemuNode(t, path)
	if w.QemuCheck {
		imgtest.QemuImg(t, "check", "-q", node)
	}
	imgtest.QemuImg(t, "compare", "-q", "-f", "raw", raw, node)
	back := filepath.Join(t.TempDir(), "back.raw")
	imgtest.QemuImg(t, "convert", "-O", "raw", node, back)
	got := imgtest.OpenFile(t, back)
	if sectors := (want.size + 511) / 512 * 512; got.Size() != sectors {
		t.Fatalf("qemu-img converts to %d bytes, want %d", got.Size(), sectors)
	}
	imgtest.Equal(t, got, want, want.size)
}

// qemuNode names the image file with its format and options.
func (w WriterSpec) qemuNode(t *testing.T, path string) string {
	t.Helper()
	node := map[string]any{"driver": w.Qemu, "file": map[string]string{"driver": "file", "filename": path}}
	for k, v := range w.QemuOptions {
		node[k] = v
	}
	text, err := json.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	return "json:" + string(text)
}

// padded is a content with zeros behind it, up to size.
type padded struct {
	imgtest.Content
	size int64
}

// Size returns the size with the zeros.
func (p padded) Size() int64 { return p.size }

// ReadAt reads the content and the zeros.
func (p padded) ReadAt(b []byte, off int64) (int, error) {
	n := int(max(0, min(int64(len(b)), p.size-off)))
	k := 0
	if off < p.Content.Size() {
		var err error
		if k, err = p.Content.ReadAt(b[:min(int64(n), p.Content.Size()-off)], off); err != nil && err != io.EOF {
			return k, err
		}
	}
	clear(b[k:n])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// NextData returns the content's runs of data.
func (p padded) NextData(off int64) (start, end int64, err error) {
	if off < p.Content.Size() {
		if start, end, err = p.Content.NextData(off); err != nil || start < end {
			return start, end, err
		}
	}
	return p.size, p.size, nil
}
