package refusals

import (
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"ingest/detect"
	"ingest/formats"
	"ingest/formats/readers"
	"ingest/internal/errcode"
)

// A bound is the least value of a limit that an image is within.
type bound struct {
	name  string
	set   func(*formats.Limits, int64)
	image string
	least int64 // why it is so says the comment beside it
	want  errcode.Code
}

func bounds() []bound {
	table := func(l *formats.Limits, n int64) { l.TableBytes = n }
	block := func(l *formats.Limits, n int64) { l.BlockBytes = n }
	text := func(l *formats.Limits, n int64) { l.DescriptorBytes = n }
	refcounts := func(l *formats.Limits, n int64) { l.RefcountBytes = n }
	ratio := func(l *formats.Limits, n int64) { l.ExpansionRatio = n }
	return []bound{
		{"TableBytes", table, "qemu-cluster-512.qcow2.gz", 776, errcode.ParserLimit},                   // L1: 97 L2 tables of 64 clusters
		{"TableBytes", table, "qemu-v3.qcow2.gz", 16, errcode.ParserLimit},                             // validation: two bitmaps of one word
		{"TableBytes", table, "qemu-dynamic.vhdx.gz", 8, errcode.ParserLimit},                          // validation: a bitmap of one word
		{"TableBytes", table, "qemu-dynamic.vhd.gz", 2 * 4, errcode.TableBounds},                       // BAT of 2 blocks
		{"TableBytes", table, "qemu-monolithicSparse.vmdk.gz", 4, errcode.TableBounds},                 // directory of one grain table
		{"BlockBytes", block, "qemu-v3.qcow2.gz", 64 << 10, errcode.ParserLimit},                       // cluster
		{"BlockBytes", block, "qemu-cluster-2M.qcow2.gz", 2 << 20, errcode.ParserLimit},                // cluster
		{"BlockBytes", block, "qemu-monolithicSparse.vmdk.gz", 64 << 10, errcode.VMDKHeader},           // grain
		{"BlockBytes", block, "qemu-streamOptimized.vmdk.gz", 64 << 10, errcode.VMDKHeader},            // grain
		{"RefcountBytes", refcounts, "qemu-v3.qcow2.gz", 64 << 10, errcode.TableBounds},                // one cluster
		{"RefcountBytes", refcounts, "qemu-cluster-512.qcow2.gz", 512, errcode.TableBounds},            // one cluster
		{"DescriptorBytes", text, "qemu-monolithicSparse.vmdk.gz", 19*512 + 1, errcode.VMDKDescriptor}, // 20 sectors; limits round up to them
		{"ExpansionRatio", ratio, "qemu-zlib.qcow2.gz", 4, errcode.ExpansionRatio},                     // 262144 of 65536 bytes
		{"ExpansionRatio", ratio, "qemu-zstd.qcow2.gz", 4, errcode.ExpansionRatio},                     // 262144 of 65536 bytes
		{"ExpansionRatio", ratio, "qemu-streamOptimized.vmdk.gz", 1, errcode.ExpansionRatio},           // 4 grains in a file of 172544 bytes
	}
}

// TestLimitsOfFormatsHoldExactly uses an image at each limit, and one past it.
func TestLimitsOfFormatsHoldExactly(t *testing.T) {
	for _, b := range bounds() {
		t.Run(b.name+" "+b.image, func(t *testing.T) {
			holds(t, unpack(t, "good/"+b.image), b)
		})
	}
}

// TestVirtualSizeHoldsExactly does so with every good image, of all formats.
func TestVirtualSizeHoldsExactly(t *testing.T) {
	n := 0
	for _, l := range manifest(t) {
		if l.Code != "" {
			continue
		}
		n++
		t.Run(l.Path, func(t *testing.T) {
			holds(t, unpack(t, l.Path), bound{set: func(l *formats.Limits, n int64) { l.VirtualSize = n },
				least: l.VirtualSize, want: errcode.VirtualSizeTooLarge})
		})
	}
	if n < 15 {
		t.Errorf("only %d good images", n)
	}
}

func holds(t *testing.T, image []byte, b bound) {
	t.Helper()
	for n, want := range map[int64]errcode.Code{b.least: "", b.least - 1: b.want} {
		_, err := use(t, all(), image, options(func(l *formats.Limits) { b.set(l, n) }))
		if got := errcode.Of(err); got != want {
			t.Errorf("limit %d: %q, want %q: %v", n, got, want, err)
			continue
		}
		if e, ok := errcode.As(err); ok && (e.Evidence == nil || e.Evidence.Limit == "") {
			t.Errorf("limit %d: the refusal does not tell the limit: %+v", n, e.Evidence)
		}
	}
}

// TestCacheBytesRefusesNothing reads every good image without any cache.
func TestCacheBytesRefusesNothing(t *testing.T) {
	for _, l := range manifest(t) {
		if l.Code != "" {
			continue
		}
		if _, err := use(t, all(), unpack(t, l.Path), options(func(l *formats.Limits) { l.CacheBytes = 0 })); err != nil {
			t.Errorf("%s: %v", l.Path, err)
		}
	}
}

// A sparse file is some bytes and zeros behind them.
type sparse struct {
	b    []byte
	size int64
}

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	n := int(max(0, min(int64(len(p)), s.size-off)))
	clear(p[:n])
	if off < int64(len(s.b)) {
		copy(p[:n], s.b[off:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// TestBoundsOfTheFormatsThemselves holds what is no operator's choice: qemu has
// the same bounds, and no image that any program wrote is beyond them.
func TestBoundsOfTheFormatsThemselves(t *testing.T) {
	const large = 1 << 30
	be32 := func(off int, v uint32) func([]byte) { return func(b []byte) { binary.BigEndian.PutUint32(b[off:], v) } }
	for _, c := range []struct {
		name   string
		at     func(b []byte)
		beyond func(b []byte)
		want   errcode.Code
	}{
		{"qcow2 refcount table of 8 MiB", be32(56, 128), be32(56, 129), errcode.TableBounds},
		{"qcow2 snapshots", be32(60, 0), be32(60, 65537), errcode.TableBounds},
		{"qcow2 cluster bits", be32(20, 16), be32(20, 22), errcode.QCOW2ClusterBits},
		{"qcow2 refcount order", be32(96, 4), be32(96, 7), errcode.QCOW2Header},
	} {
		for _, change := range []struct {
			set  func([]byte)
			want errcode.Code
		}{{c.at, ""}, {c.beyond, c.want}} {
			b := unpack(t, "good/qemu-v3.qcow2.gz")
			change.set(b)
			_, disk, err := detect.New(readers.All()).Detect(t.Context(), sparse{b, large}, large, options(nil))
			if disk != nil {
				err = errors.Join(err, disk.Close())
			}
			if got := errcode.Of(err); got != change.want {
				t.Errorf("%s: %q, want %q: %v", c.name, got, change.want, err)
			}
		}
	}
}
