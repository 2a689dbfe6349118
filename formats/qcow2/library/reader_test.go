package library

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"ingest/internal/errcode"
)

const (
	bits        = 12
	clusterSize = 1 << bits
)

// tiny returns an image file of one L1 table, one L2 table and the given
// clusters behind them, whose own header names a backing file.
func tiny(entries []uint64, rest []byte) []byte {
	b := make([]byte, 3*clusterSize)
	copy(b, "QFI\xfb")
	binary.BigEndian.PutUint64(b[8:], 2000)
	binary.BigEndian.PutUint32(b[16:], 11)
	copy(b[2000:], "/etc/passwd")
	binary.BigEndian.PutUint64(b[clusterSize:], 1<<63|2*clusterSize)
	for i, e := range entries {
		binary.BigEndian.PutUint64(b[2*clusterSize+8*i:], e)
	}
	return append(b, rest...)
}

func open(t *testing.T, file []byte, useZstd bool) *Reader {
	t.Helper()
	r, err := Open(bytes.NewReader(file), int64(len(file)), Image{
		ClusterBits: bits, Size: 4 * clusterSize, L1Entries: 1, L1Offset: clusterSize, Zstd: useZstd})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func pattern(n int, seed byte) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i/7)*seed + byte(i>>9)
	}
	return p
}

func deflated(t *testing.T, p []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, 5)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(p)
	w.Close()
	return out.Bytes()
}

func zstded(t *testing.T, p []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(p, nil)
}

// compressedEntry describes n bytes at a host offset.
func compressedEntry(off, n int) uint64 {
	sectors := (off+n-1)/512 - off/512
	return 1<<62 | uint64(sectors)<<(62-(bits-8)) | uint64(off)
}

func TestReadsPlainAndCompressedClusters(t *testing.T) {
	for name, compress := range map[string]func(*testing.T, []byte) []byte{"deflate": deflated, "zstd": zstded} {
		t.Run(name, func(t *testing.T) {
			a, b, c := pattern(clusterSize, 3), pattern(clusterSize, 5), pattern(clusterSize, 7)
			ca, cb := compress(t, a), compress(t, b)
			// Two compressed clusters share a sector, and the plain one is last
			// and cut short by the end of the file.
			packed := append(append([]byte{}, ca...), cb...)
			packed = append(packed, make([]byte, clusterSize-len(packed))...)
			file := tiny([]uint64{
				compressedEntry(3*clusterSize, len(ca)),
				compressedEntry(3*clusterSize+len(ca), len(cb)),
				1<<63 | 4*clusterSize,
			}, append(packed, c[:1000]...))
			r := open(t, file, name == "zstd")
			want := append(append(append([]byte{}, a...), b...), c[:1000]...)
			want = append(want, make([]byte, 3*clusterSize-len(want))...)
			for _, at := range [][2]int{{0, len(want)}, {100, 5000}, {clusterSize - 1, 2}, {clusterSize + 4000, 90}, {3*clusterSize - 1, 1}} {
				p := make([]byte, at[1])
				if err := r.ReadClusters(p, int64(at[0])); err != nil || !bytes.Equal(p, want[at[0]:at[0]+at[1]]) {
					t.Errorf("read %d bytes at %d: %v, or other bytes", at[1], at[0], err)
				}
			}
		})
	}
}

func TestDamageHasACode(t *testing.T) {
	short := deflated(t, pattern(clusterSize-1, 3))
	noise := bytes.Repeat([]byte{0xFF}, 300)
	for _, c := range []struct {
		name string
		file []byte
		zstd bool
		want errcode.Code
	}{
		{"short inflate", tiny([]uint64{compressedEntry(3*clusterSize, len(short))}, short), false, errcode.CompressionCorrupt},
		{"garbled deflate", tiny([]uint64{compressedEntry(3*clusterSize, 300)}, noise), false, errcode.CompressionCorrupt},
		{"garbled zstd", tiny([]uint64{compressedEntry(3*clusterSize, 300)}, noise), true, errcode.CompressionCorrupt},
		{"compressed past the end", tiny([]uint64{compressedEntry(8*clusterSize, 300)}, noise), false, errcode.Truncated},
		{"plain past the end", tiny([]uint64{8 * clusterSize}, noise), false, errcode.Truncated},
		{"L2 table past the end", tiny(nil, nil)[:2*clusterSize], false, errcode.Truncated},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := open(t, c.file, c.zstd).ReadClusters(make([]byte, 100), 0)
			if got := errcode.Of(err); got != c.want {
				t.Errorf("read: %v, want %s", err, c.want)
			}
		})
	}
}

// TestTheFilesOwnHeaderIsNeverSeen reads the whole first cluster through the
// mask.
func TestTheFilesOwnHeaderIsNeverSeen(t *testing.T) {
	file := bytes.Repeat([]byte{0xEE}, 3*clusterSize)
	img := Image{ClusterBits: bits, Size: clusterSize, L1Entries: 1, L1Offset: clusterSize}
	m := &mask{r: bytes.NewReader(file), size: int64(len(file)), clusterSize: clusterSize, header: img.header()}
	p := make([]byte, clusterSize+10)
	if n, err := m.ReadAt(p, 0); n != len(p) || err != nil {
		t.Fatalf("read: %d, %v", n, err)
	}
	if bytes.IndexByte(p[:clusterSize], 0xEE) >= 0 {
		t.Error("a byte of the file's first cluster is served")
	}
	if !bytes.Equal(p[8:20], make([]byte, 12)) {
		t.Error("the backing file fields are not zero")
	}
	if p[clusterSize] != 0xEE {
		t.Error("the second cluster is not the file's")
	}
	for name, is := range map[string]bool{"a Closer": isA[io.Closer](m), "a Namer": isA[interface{ Name() string }](m)} {
		if is {
			t.Errorf("the mask is %s", name)
		}
	}
}

func isA[T any](v any) bool { _, ok := v.(T); return ok }

// panicking is a reader that fails in the way that a bug does.
type panicking struct{}

func (panicking) ReadAt([]byte, int64) (int, error) { panic("index out of range") }

func TestPanicIsAnError(t *testing.T) {
	_, err := Open(panicking{}, 1<<20, Image{ClusterBits: bits, Size: clusterSize, L1Entries: 1, L1Offset: clusterSize})
	if errcode.Of(err) != errcode.ParserCrash {
		t.Errorf("open: %v, want %s", err, errcode.ParserCrash)
	}
	r := &Reader{size: 100}
	if err := r.ReadClusters(make([]byte, 1), 0); errcode.Of(err) != errcode.ParserCrash {
		t.Errorf("read: %v, want %s", err, errcode.ParserCrash)
	}
}
