package refusals

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"ingest/detect"
	"ingest/formats/readers"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/pipeline"
)

// What a bomb of a format may be and cost. A qcow2 whose L2 tables differ has 14 MiB:
// for a TiB it takes clusters of 2 MiB, and two of them for the L2 tables, one each
// for header, L1 table, refcount table and refcounts.
const (
	mib           = 1 << 20
	tib           = 1 << 40
	bombFile      = 10 * mib
	bombAllocated = 48 * mib // garbage included: the file's tables, a bitmap of its blocks
)

// empty has qemu-img make an empty image of a TiB.
func empty(t *testing.T, format, options string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "empty")
	args := []string{"create", "-q", "-f", format}
	if options != "" {
		args = append(args, "-o", options)
	}
	imgtest.QemuImg(t, append(args, path, "1T")...)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// What a VMDK holds behind this is empty grain tables.
	p, err := io.ReadAll(io.LimitReader(f, bombFile))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// data is a block of bytes that are not zero.
func data(n int) []byte { return bytes.Repeat([]byte{0xa5}, n) }

// bombs are images of which every block of a TiB is one and the same block of the
// file. Fields are those of the formats' specifications.
func bombs(t *testing.T) map[string][]byte {
	le, be := binary.LittleEndian, binary.BigEndian
	vdi := empty(t, "vdi", "")
	for i, n := 0, int(le.Uint32(vdi[384:])); i < n; i++ {
		le.PutUint32(vdi[int(le.Uint32(vdi[340:]))+4*i:], 0)
	}
	le.PutUint32(vdi[388:], le.Uint32(vdi[384:]))
	vdi = append(vdi[:le.Uint32(vdi[344:])], data(mib)...)

	vhd := empty(t, "vpc", "")
	footer := bytes.Clone(vhd[len(vhd)-512:])
	block := uint32(len(vhd)-512) / 512
	for i, n := 0, int(be.Uint32(vhd[512+28:])); i < n; i++ {
		be.PutUint32(vhd[int(be.Uint64(vhd[512+16:]))+4*i:], block)
	}
	vhd = append(append(vhd[:len(vhd)-512], data(2*mib+512)...), footer...)

	vhdx := empty(t, "vhdx", "block_size=2M")
	for i := 192<<10 + 16; ; i += 32 { // region table: entries of 32 bytes
		if le.Uint32(vhdx[i:]) != 0x2dc27766 { // BAT
			continue
		}
		at, n := int(le.Uint64(vhdx[i+16:])), int(le.Uint32(vhdx[i+24:]))
		chunk := 1<<23*512/(2*mib) + 1 // payload entries, then one of a sector bitmap
		for k := range n / 8 {
			if k < 524288+524288/(chunk-1) && k%chunk != chunk-1 {
				le.PutUint64(vhdx[at+8*k:], uint64(len(vhdx))|6)
			}
		}
		break
	}
	vhdx = append(vhdx, data(2*mib)...)

	hds := empty(t, "parallels", "")
	cluster := 512 * int(le.Uint32(hds[28:]))
	for len(hds)%cluster != 0 {
		hds = append(hds, 0)
	}
	for i, n := 0, int(le.Uint32(hds[32:])); i < n; i++ {
		le.PutUint32(hds[64+4*i:], uint32(len(hds)/cluster))
	}
	hds = append(hds, data(cluster)...)
	return map[string][]byte{
		"vdi": vdi, "vhd": vhd, "vhdx": vhdx, "parallels": hds,
		"qcow2, one L2 table": qcow2Bomb(t, 1, false), "qcow2, one cluster": qcow2Bomb(t, 2, false), "qcow2, one compressed cluster": qcow2Bomb(t, 2, true),
		"vmdk, one grain table": vmdkBomb(t),
	}
}

// qcow2Bomb has clusters of 2 MiB, of which two L2 tables reach a TiB. Both, or the
// first twice, lead to one cluster.
func qcow2Bomb(t *testing.T, tables int, compressed bool) []byte {
	be := binary.BigEndian
	const cluster = 2 * mib
	p := empty(t, "qcow2", "cluster_size=2M")
	full := func() {
		for len(p)%cluster != 0 {
			p = append(p, 0)
		}
	}
	full()
	l2 := len(p)
	p = append(p, make([]byte, tables*cluster)...)
	entry := uint64(len(p)) | 1<<63
	if compressed {
		var z bytes.Buffer
		w, _ := flate.NewWriter(&z, 9)
		w.Write(data(cluster))
		w.Close()
		sectors := uint64(z.Len()+511)/512 - 1
		entry = 1<<62 | sectors<<(62-(21-8)) | uint64(len(p)) // section "Compressed Clusters Descriptor"
		p = append(p, z.Bytes()...)
		full()
	}
	for i := l2; i < l2+tables*cluster; i += 8 {
		be.PutUint64(p[i:], entry)
	}
	if !compressed {
		p = append(p, data(cluster)...)
	}
	l1 := int(be.Uint64(p[40:]))
	for i := range int(be.Uint32(p[36:])) {
		be.PutUint64(p[l1+8*i:], uint64(l2+i%tables*cluster)|1<<63)
	}
	if len(p) > bombFile+4*mib {
		t.Fatalf("the qcow2 has %d bytes", len(p))
	}
	return p
}

// vmdkBomb has one grain table, of one grain, for the whole disk.
func vmdkBomb(t *testing.T) []byte {
	le := binary.LittleEndian
	p := empty(t, "vmdk", "")
	gd := int(le.Uint64(p[48:])) * 512 // of the redundant directory, which comes first
	gt := int(le.Uint32(p[gd:])) * 512
	grain := (gt + 512*4 + 65535) / 65536 * 65536
	for i := range tib / (64 << 10) / 512 {
		le.PutUint32(p[gd+4*i:], uint32(gt/512))
	}
	for i := range 512 {
		le.PutUint32(p[gt+4*i:], uint32(grain/512))
	}
	le.PutUint32(p[8:], le.Uint32(p[8:])&^2)
	le.PutUint64(p[56:], le.Uint64(p[48:]))
	le.PutUint64(p[48:], 0)
	le.PutUint64(p[64:], uint64(grain/512))
	return append(p[:grain], data(64<<10)...)
}

// TestBombsOfAllFormats holds, under the default limits, that a file of a few MiB
// which stands for a TiB is refused, and what that costs: bytes read of the file, and
// bytes allocated. Nothing is written anywhere.
func TestBombsOfAllFormats(t *testing.T) {
	for name, p := range bombs(t) {
		t.Run(name, func(t *testing.T) {
			if len(p) > bombFile+4*mib {
				t.Fatalf("the bomb has %d bytes", len(p))
			}
			r := &countingReader{r: bytes.NewReader(p)}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			rep, disk, err := detect.New(readers.All()).Detect(t.Context(), r, int64(len(p)), options(nil))
			if err == nil {
				_, err = pipeline.CheckDisk(t.Context(), disk)
				disk.Close()
			}
			runtime.ReadMemStats(&after)
			if rep.VirtualSize != tib && rep.VirtualSize != 0 && rep.VirtualSize < tib*99/100 {
				t.Errorf("it stands for %d bytes only", rep.VirtualSize)
			}
			switch code := errcode.Of(err); code {
			case errcode.AliasedBlocks, errcode.ExpansionRatio:
			default:
				t.Errorf("%v", err)
			}
			if most := 3*int64(len(p)) + mib; r.n.Load() > most {
				t.Errorf("%d bytes were read, at most %d", r.n.Load(), most)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > bombAllocated {
				t.Errorf("%d bytes were allocated, at most %d", got, bombAllocated)
			}
			t.Logf("%d bytes: %s, %d read, %d allocated", len(p), errcode.Of(err), r.n.Load(), after.TotalAlloc-before.TotalAlloc)
		})
	}
}

// A countingReader counts the bytes that are read.
type countingReader struct {
	r io.ReaderAt
	n atomic.Int64
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n.Add(int64(n))
	return n, err
}
