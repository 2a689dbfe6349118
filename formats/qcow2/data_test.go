package qcow2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// counted is a file that counts the reads and the bytes read of it.
type counted struct {
	io.ReaderAt
	mu           sync.Mutex
	reads, bytes int64
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.mu.Lock()
	c.reads++
	c.bytes += int64(len(p))
	c.mu.Unlock()
	return c.ReaderAt.ReadAt(p, off)
}

// since returns what was read since the last call.
func (c *counted) since() (reads, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reads, bytes = c.reads, c.bytes
	c.reads, c.bytes = 0, 0
	return reads, bytes
}

// openCounted opens an image and walks its extents, so that its tables are
// cached.
func openCounted(t testing.TB, image []byte) (formats.Disk, *counted) {
	t.Helper()
	file := &counted{ReaderAt: bytes.NewReader(image)}
	d := formattest.OpenBytes(Format{}, file, int64(len(image)))(t)
	if _, err := formats.DataBytes(d); err != nil {
		t.Fatal(err)
	}
	file.since()
	return d, file
}

// TestRunsAreOneRead counts the reads that runs of clusters take, plain and
// compressed, over several L2 tables.
func TestRunsAreOneRead(t *testing.T) {
	disk := imgtest.New(8<<20, 3, imgtest.Run{Off: 0, Len: 8 << 20, Kind: imgtest.Text})
	buf := make([]byte, 1<<20)
	for _, bits := range []int{9, 12, 16} {
		d, file := openCounted(t, stream(t, plan(t, bits, disk)))
		imgtest.ReadFull(t, d, buf, 100<<10)
		if reads, n := file.since(); reads != 1 || n != 1<<20 {
			t.Errorf("%d bits: %d reads of %d bytes for a plain run", bits, reads, n)
		}
	}
	for _, comp := range []string{CompressionZlib, CompressionZstd} {
		for _, from := range []int64{1 << 20, 1<<20 + 777} {
			d, file := openCounted(t, encode(t, Encoder{ClusterBits: 16, Compression: comp}, disk, nil).buf)
			imgtest.ReadFull(t, d, buf, from)
			if reads, n := file.since(); reads != 1 || n > 200<<10 {
				t.Errorf("%s at %d: %d reads of %d bytes for a run of compressed clusters", comp, from, reads, n)
			}
		}
	}
	// qemu-img does not store neighbours in order.
	raw := imgtest.WriteRaw(t, imgtest.New(8<<20, 4, imgtest.Run{Off: 0, Len: 8 << 20, Kind: imgtest.Text}))
	image, err := os.ReadFile(imgtest.Convert(t, raw, "raw", "qcow2", "-c"))
	if err != nil {
		t.Fatal(err)
	}
	d, file := openCounted(t, image)
	imgtest.ReadFull(t, d, buf, 1<<20)
	if reads, n := file.since(); reads > 4 || n > 400<<10 {
		t.Errorf("%d reads of %d bytes for a run that qemu-img compressed", reads, n)
	}
}

// TestBatchIsBounded spreads compressed clusters over the file: what lies
// between them is not read, nor more than batchBytes at a time.
func TestBatchIsBounded(t *testing.T) {
	disk := imgtest.New(16<<20, 3, imgtest.Run{Off: 0, Len: 16 << 20, Kind: imgtest.Text})
	image := encode(t, Encoder{ClusterBits: 16, Compression: CompressionZlib}, disk, nil).buf
	// Every second cluster's bytes are moved behind the end, far apart.
	l1 := binary.BigEndian.Uint64(image[40:])
	l2 := binary.BigEndian.Uint64(image[l1:]) & entryOffset
	for i := uint64(1); i < 256; i += 2 {
		e := binary.BigEndian.Uint64(image[l2+8*i:])
		off, sectors := e&(1<<54-1), e<<2>>56+1
		part := bytes.Clone(image[off:min(off+sectors*512, uint64(len(image)))])
		image = append(image, make([]byte, 128<<10-len(image)%(64<<10))...)
		binary.BigEndian.PutUint64(image[l2+8*i:], entryCompressed|sectors<<54|uint64(len(image)))
		image = append(image, part...)
	}
	image = append(image, make([]byte, 2<<20)...)
	d, file := openCounted(t, image)
	buf := make([]byte, 16<<20)
	imgtest.ReadFull(t, d, buf, 0)
	if _, n := file.since(); n > 4<<20 {
		t.Errorf("%d bytes are read for some hundred KiB of compressed data", n)
	}
	imgtest.Equal(t, d, disk, disk.Size())
}

// TestSmallReadsInflateOnce reads compressed clusters in small pieces, by one
// reader and by many, and counts how often their bytes are fetched.
func TestSmallReadsInflateOnce(t *testing.T) {
	disk := imgtest.New(4<<20, 3, imgtest.Run{Off: 0, Len: 4 << 20, Kind: imgtest.Text})
	for _, comp := range []string{CompressionZlib, CompressionZstd} {
		image := encode(t, Encoder{ClusterBits: 18, Compression: comp}, disk, nil).buf
		d, file := openCounted(t, image)
		p, want := make([]byte, 4096), make([]byte, 4096)
		for off := int64(0); off < disk.Size(); off += 4096 {
			imgtest.ReadFull(t, d, p, off)
			imgtest.ReadFull(t, disk, want, off)
			if !bytes.Equal(p, want) {
				t.Fatalf("%s: other bytes at %d", comp, off)
			}
		}
		if reads, _ := file.since(); reads != 16 {
			t.Errorf("%s: %d reads for 16 clusters in small pieces", comp, reads)
		}
		d, file = openCounted(t, image)
		var wg sync.WaitGroup
		for i := range int64(8) {
			wg.Go(func() {
				q := make([]byte, 1000)
				if _, err := d.ReadAt(q, 5<<18+i*1000); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if reads, _ := file.since(); reads != 1 {
			t.Errorf("%s: %d reads for one cluster and eight readers at once", comp, reads)
		}
	}
}

// TestReadsDoNotAllocate reads with everything in place.
func TestReadsDoNotAllocate(t *testing.T) {
	imgtest.CountsAllocations(t)
	disk := imgtest.New(8<<20, 3, imgtest.Run{Off: 0, Len: 8 << 20, Kind: imgtest.Text})
	for name, image := range map[string][]byte{
		"plain": stream(t, plan(t, 12, disk)),
		"zlib":  encode(t, Encoder{Compression: CompressionZlib}, disk, nil).buf,
		"zstd":  encode(t, Encoder{Compression: CompressionZstd}, disk, nil).buf,
	} {
		d, _ := openCounted(t, image)
		for _, n := range []int{1 << 20, 700} {
			buf := make([]byte, n)
			off := int64(0)
			got := testing.AllocsPerRun(200, func() {
				if _, err := d.ReadAt(buf, off); err != nil {
					t.Fatal(err)
				}
				off = (off + 70_001) % (7 << 20)
			})
			// The pool may be emptied in between.
			if got >= 1 {
				t.Errorf("%s: a read of %d bytes allocates %v times", name, n, got)
			}
		}
	}
}

// TestClusterCacheUnderPressure lets more readers than the cache has room for
// read the same and other clusters, some of which fail at first.
func TestClusterCacheUnderPressure(t *testing.T) {
	c := newClusterCache(3*100, 100)
	var wg sync.WaitGroup
	for g := range uint64(12) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(g, 1))
			p := make([]byte, 30)
			for range 3000 {
				index, rel := rng.Int64N(8), rng.Int64N(70)
				err := c.read(p, index, rel, &patternFiller{fail: rng.IntN(5) == 0})
				if err != nil {
					continue
				}
				for i, b := range p {
					if b != byte(index*100+rel+int64(i)) {
						t.Errorf("byte %d of cluster %d is %d", rel+int64(i), index, b)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if len(c.recent) > 3 {
		t.Errorf("%d clusters are kept, want at most 3", len(c.recent))
	}
	for _, s := range c.recent {
		if s.users != 0 {
			t.Errorf("cluster %d has %d users left", s.index, s.users)
		}
	}
}

// patternFiller fills a cluster with a pattern of its own, or fails.
type patternFiller struct{ fail bool }

func (f *patternFiller) inflate(dst []byte, index int64) error {
	for i := range dst {
		dst[i] = byte(index*100 + int64(i))
	}
	if f.fail {
		clear(dst)
		return io.ErrUnexpectedEOF
	}
	return nil
}

func TestClusterCacheRoom(t *testing.T) {
	for limit, want := range map[int64]int{0: 1, 99: 1, 200: 2, 100 * maxClusters: maxClusters, 100 * (maxClusters + 1): maxClusters} {
		if got := newClusterCache(limit, 100).room; got != want {
			t.Errorf("%d bytes make room for %d clusters, want %d", limit, got, want)
		}
	}
}

// panicking is a decoder that fails in the way that a bug does.
type panicking struct{}

func (panicking) Raw(_, _ []byte) (int, int, error) { panic("index out of range") }

func TestPanicOfADecoderIsAnError(t *testing.T) {
	disk := imgtest.New(1<<20, 3, imgtest.Run{Off: 0, Len: 1 << 20, Kind: imgtest.Text})
	d, _ := openCounted(t, encode(t, Encoder{Compression: CompressionZlib}, disk, nil).buf)
	r := d.(*Disk).clusters.(*dataReader)
	p := make([]byte, 1<<16)
	inf := &inflater{d: d.(*Disk), decoders: decoders{deflate: panicking{}}}
	inf.begin(1)
	if err := r.clusters.read(p[:10], 0, 0, inf); errcode.Of(err) != errcode.ParserCrash {
		t.Errorf("inflate: %v, want %s", err, errcode.ParserCrash)
	}
	// The same tools and the same slot go on.
	if err := r.clusters.read(p[:10], 0, 0, inf); err != nil {
		t.Errorf("inflate after a panic: %v", err)
	}
	imgtest.EqualDisk(t, d, disk)
}

// allocatedBytes returns how many bytes the process has allocated so far.
func allocatedBytes() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}

// TestHugeSparseImages walks and checks images with a cluster of data in each
// 64 GiB, and counts what that reads and allocates.
func TestHugeSparseImages(t *testing.T) {
	for _, size := range []int64{1 << 40, 8 << 40} {
		t.Run(fmt.Sprintf("%d TiB", size>>40), func(t *testing.T) {
			var runs []imgtest.Run
			for off := int64(0); off < size; off += 64 << 30 {
				runs = append(runs, imgtest.Run{Off: off + 12345<<9, Len: 512, Kind: imgtest.Noise})
			}
			p := plan(t, 16, imgtest.New(size, 5, runs...))
			file := &counted{ReaderAt: p}
			before := allocatedBytes()
			d := formattest.OpenBytes(Format{}, file, p.Size())(t)
			if n, err := formats.DataBytes(d); err != nil || n != int64(len(runs))<<16 {
				t.Fatalf("%d bytes of data, %v", n, err)
			}
			if _, err := d.(formats.Validator).Validate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := allocatedBytes() - before; got > 64<<20 {
				t.Errorf("%d bytes are allocated", got)
			}
			// The L2 tables are read twice at most, by the walk and by the check.
			if reads, n := file.since(); n > 2*p.data+4<<16 || reads > 3*int64(len(runs))+20 {
				t.Errorf("%d reads of %d bytes", reads, n)
			}
		})
	}
}
