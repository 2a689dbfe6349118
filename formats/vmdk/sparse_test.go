package vmdk

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/formats/formattest"
	"ingest/formats/transfer"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// sparseWriter is the suite's view of Sparse.
func sparseWriter(s Sparse) formattest.WriterSpec {
	return formattest.WriterSpec{
		Format: Format{}, Qemu: "vmdk", QemuCheck: true, Same: true,
		Planner: blocks.Planner{Target: s},
		Encoder: func(workers int) formats.Encoder {
			return blocks.Encoder{Target: s, Engine: transfer.Engine{Workers: workers}}
		},
	}
}

func TestSparseWriter(t *testing.T) { formattest.Writer(t, sparseWriter(Sparse{})) }

// A board takes writes in any order, as a file does.
type board struct {
	discard
	b []byte
}

func (s *board) WriteAt(p []byte, off int64) (int, error) {
	if grow := off + int64(len(p)) - int64(len(s.b)); grow > 0 {
		s.b = append(s.b, make([]byte, grow)...)
	}
	return copy(s.b[off:], p), nil
}

// TestSparseForward writes a disk that cannot tell its holes.
func TestSparseForward(t *testing.T) {
	disk := imgtest.Random(61, 40<<20+3*512, 10<<20)
	all := make([]byte, disk.Size())
	imgtest.ReadFull(t, disk, all, 0)
	var out board
	sum, err := blocks.Encoder{Target: Sparse{}}.Encode(t.Context(), &out, flatDisk{bytes.NewReader(all)}, formats.Checkpoint{})
	if err != nil {
		t.Fatal(err)
	}
	out.b = append(out.b, make([]byte, sum.FileSize-int64(len(out.b)))...)
	path := filepath.Join(t.TempDir(), "out.vmdk")
	if err := os.WriteFile(path, out.b, 0o600); err != nil {
		t.Fatal(err)
	}
	sparseWriter(Sparse{}).CheckImage(t, path, sum, disk, imgtest.WriteRaw(t, disk))
}

// planned returns a disk as a monolithicSparse file.
func planned(t testing.TB, s Sparse, disk formats.Disk) []byte {
	t.Helper()
	p, err := blocks.Planner{Target: s}.Plan(t.Context(), disk)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, p.Size())
	if n, err := p.ReadAt(out, 0); int64(n) != p.Size() || err != nil && err != io.EOF {
		t.Fatalf("read the plan: %d of %d, %v", n, p.Size(), err)
	}
	return out
}

// TestSparseVersionIsRaisedWithTheBytes fails when the same input gives other
// bytes under the same version: raise sparseVersion, and only then change the
// digest.
func TestSparseVersionIsRaisedWithTheBytes(t *testing.T) {
	const want = `vmdk monolithicSparse v1 adapter=lsilogic hardware_version=4 name="disk.vmdk" ` +
		"999e5cc69dac6d96071ad6792bb6a205b330a4c481252eb50b2f6f9d518526dc"
	s := Sparse{}
	got := fmt.Sprintf("%s %x", s.Codec(), sha256.Sum256(planned(t, s, imgtest.Random(60, 5<<20, 3<<20))))
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSparseRefusesWhatSectorNumbersDoNotReach(t *testing.T) {
	for size, want := range map[int64]errcode.Code{
		maxSparseBytes:     "",
		maxSparseBytes + 1: errcode.VirtualSizeTooLarge,
		1<<63 - 1:          errcode.VirtualSizeTooLarge,
		0:                  errcode.VirtualSizeZero,
	} {
		l, err := Sparse{}.Layout(size)
		if errcode.Of(err) != want {
			t.Errorf("%d bytes: %v, want %q", size, err, want)
		}
		if err != nil {
			continue
		}
		s := l.Shape()
		if last := s.Head/sectorBytes + s.Blocks()*grainSectors; last > 1<<32 {
			t.Errorf("a full disk of %d bytes has %d sectors", size, last)
		}
	}
}
