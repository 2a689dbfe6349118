package vmdk

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"ingest/internal/binio"
	"ingest/internal/imgtest"
)

// mostCompressed is how long the stream of a grain may be: what VMware's own
// reader of streams has room for beside the grain.
const mostCompressed = 65536 + 65536>>9 + 13

// A streamWalk reads a streamOptimized file once from begin to end, as a program
// that imports it from a network does ("Stream-Optimized Compressed Sparse
// Extents"). Offsets are in sectors.
type streamWalk struct {
	t     *testing.T
	disk  *imgtest.Disk
	b     []byte
	h     rawHeader
	at    uint64
	lba   int64             // the next grain is this one or a later one
	open  map[uint64]uint32 // entries of the grain table that follows
	gdes  map[uint64]uint32 // entries of the grain directory
	found []bool            // grains that are stored
	order []uint32          // markers of metadata
}

// TestStreamKeepsTheRules holds streams against what clouds say that they take:
// Amazon "Stream-optimized ESX Virtual Machine Disk (VMDK)" (Image Builder API
// reference, S3ExportConfiguration), vSphere in OVF packages the disk format
// http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized.
func TestStreamKeepsTheRules(t *testing.T) {
	for _, c := range ruleDisks() {
		t.Run(c.Name, func(t *testing.T) {
			o := Options{Adapter: AdapterIDE, HardwareVersion: 21, Name: "größe.vmdk"}
			w := &streamWalk{t: t, disk: c.Disk, b: streamed(t, Stream{Options: o}, c.Disk),
				open: map[uint64]uint32{}, gdes: map[uint64]uint32{}, found: make([]bool, binio.DivCeil(c.Disk.Size(), 65536))}
			w.h = readHeader(t, w.b, c.Disk.Size())
			if w.h.Version != 3 || w.h.Flags != 0x30001 || w.h.CompressAlgorithm != 1 || w.h.RgdOffset != 0 ||
				w.h.GdOffset != 0xffffffffffffffff || w.h.OverHead != 128 {
				t.Errorf("header %+v", w.h)
			}
			checkText(t, readText(t, w.b), "streamOptimized", fmt.Sprintf(`RDONLY %d SPARSE "größe.vmdk"`, w.h.Capacity), o)
			if len(w.b)%512 != 0 || !binio.IsZero(w.b[21*512:w.h.OverHead*512]) {
				t.Error("the file is not made of sectors, or there is something before the grains")
			}
			w.walk()
			for i, stored := range w.found {
				if !stored && !binio.IsZero(guestGrain(t, c.Disk, int64(i))) {
					t.Fatalf("grain %d with data is not stored", i)
				}
			}
		})
	}
}

// walk reads marker after marker up to the end of the stream.
func (w *streamWalk) walk() {
	w.t.Helper()
	for w.at = w.h.OverHead; ; {
		if w.at*512 >= uint64(len(w.b)) {
			w.t.Fatal("the file ends before its end-of-stream marker")
		}
		p := w.b[w.at*512:]
		val, size := binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint32(p[8:])
		if size != 0 {
			w.grain(val, size)
			continue
		}
		kind := binary.LittleEndian.Uint32(p[12:])
		if !binio.IsZero(p[16:512]) {
			w.t.Errorf("marker at sector %d: pad bytes are not zero", w.at)
		}
		if n := len(w.order); kind != 1 && n > 0 && w.order[n-1] != 1 && kind != [...]uint32{2: 3, 3: 0}[w.order[n-1]] {
			w.t.Fatalf("marker %d follows %v", kind, w.order)
		}
		w.order = append(w.order, kind)
		w.at++
		if kind == 0 {
			if val != 0 || w.at*512 != uint64(len(w.b)) {
				w.t.Errorf("end-of-stream marker of %d sectors, %d bytes before the file's end", val, uint64(len(w.b))-w.at*512)
			}
			return
		}
		w.metadata(kind, val)
		w.at += val
	}
}

// grain checks a grain marker and its data.
func (w *streamWalk) grain(lba uint64, size uint32) {
	w.t.Helper()
	grain := int64(lba / 128)
	if lba%128 != 0 || grain < w.lba || grain >= int64(len(w.found)) {
		w.t.Fatalf("grain at sector %d says that it is sector %d of the disk", w.at, lba)
	}
	w.lba, w.found[grain] = grain+1, true
	if size > mostCompressed {
		w.t.Errorf("grain %d takes %d bytes", grain, size)
	}
	p := w.b[w.at*512:]
	zr, err := zlib.NewReader(bytes.NewReader(p[12 : 12+size]))
	if err != nil {
		w.t.Fatalf("grain %d: %v", grain, err)
	}
	got, err := io.ReadAll(zr)
	if err != nil || len(got) != 65536 || !bytes.Equal(got, guestGrain(w.t, w.disk, grain)) {
		w.t.Fatalf("grain %d has %d bytes, not those of the disk: %v", grain, len(got), err)
	}
	end := (12 + uint64(size) + 511) / 512
	if binio.IsZero(got) || !binio.IsZero(p[12+size:end*512]) {
		w.t.Errorf("grain %d is of zeros, or not followed by zeros", grain)
	}
	w.open[uint64(grain)] = uint32(w.at)
	w.at += end
}

// metadata checks what follows a marker.
func (w *streamWalk) metadata(kind uint32, sectors uint64) {
	w.t.Helper()
	p := w.b[w.at*512 : (w.at+sectors)*512]
	tables := (uint64(len(w.found)) + 511) / 512
	want := make([]byte, len(p))
	switch kind {
	case 1:
		if sectors != 4 || len(w.open) == 0 {
			w.t.Fatalf("grain table of %d sectors for %d grains", sectors, len(w.open))
		}
		for grain, at := range w.open {
			index := grain / 512
			binary.LittleEndian.PutUint32(want[grain%512*4:], at)
			w.gdes[index] = uint32(w.at)
			if uint64(w.lba-1)/512 != index {
				w.t.Errorf("grain %d lies behind the table of its range", grain)
			}
		}
		clear(w.open)
	case 2:
		if sectors != (tables*4+511)/512 || len(w.open) != 0 {
			w.t.Fatalf("grain directory of %d sectors, and %d grains without a table", sectors, len(w.open))
		}
		for index, at := range w.gdes {
			binary.LittleEndian.PutUint32(want[index*4:], at)
		}
		w.h.GdOffset = w.at
	case 3:
		if sectors != 1 || (w.at+2)*512 != uint64(len(w.b)) {
			w.t.Fatalf("footer of %d sectors at sector %d of %d bytes", sectors, w.at, len(w.b))
		}
		footer, err := binary.Append(nil, binary.LittleEndian, w.h)
		if err != nil {
			w.t.Fatal(err)
		}
		want = footer
	default:
		w.t.Fatalf("marker %d at sector %d", kind, w.at-1)
	}
	if !bytes.Equal(p, want) {
		w.t.Errorf("metadata of kind %d at sector %d are wrong", kind, w.at)
	}
}

// TestStreamOrder writes four grains under two tables and expects this and
// nothing else.
func TestStreamOrder(t *testing.T) {
	disk := imgtest.New(70<<20, 9, imgtest.Run{Off: 100, Len: 70_000, Kind: imgtest.Text}, imgtest.Run{Off: 69 << 20, Len: 70_000, Kind: imgtest.Text})
	w := &streamWalk{t: t, disk: disk, b: streamed(t, Stream{}, disk), open: map[uint64]uint32{}, gdes: map[uint64]uint32{}, found: make([]bool, 70*16)}
	w.h = readHeader(t, w.b, disk.Size())
	w.walk()
	stored := 0
	for _, f := range w.found {
		if f {
			stored++
		}
	}
	if got := fmt.Sprint(w.order); stored != 4 || got != "[1 1 2 3 0]" || len(w.gdes) != 2 {
		t.Errorf("%d grains, markers %s, directory %v", stored, got, w.gdes)
	}
}
