package unwrap

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"runtime"
	"testing"

	"ingest/internal/errcode"
)

// bombBytes is how large the bombs are.
const bombBytes = 10 << 20

// repeated is a reader of one file over and over, up to n bytes. Every layer takes
// a concatenation, so a small bomb repeated is a large one.
func repeated(p []byte, n int) io.Reader {
	return io.LimitReader(&ring{p: p}, int64(n/len(p)*len(p)))
}

type ring struct {
	p  []byte
	at int
}

func (r *ring) Read(p []byte) (int, error) {
	n := copy(p, r.p[r.at:])
	r.at = (r.at + n) % len(r.p)
	return n, nil
}

// zstdBomb is a frame of n blocks that say one byte 128 KiB long (RFC 8878,
// 3.1.1.2.2).
func zstdBomb(b byte, n int) []byte {
	p := []byte(magicZstd + "\x00\x38") // window of 128 KiB
	for i := range n {
		h := uint32(128<<10)<<3 | 1<<1
		if i == n-1 {
			h |= 1
		}
		p = append(p, byte(h), byte(h>>8), byte(h>>16), b)
	}
	return p
}

// small is a file of one byte repeated, packed by the layer's own tool.
func small(t testing.TB, b byte, n int, args ...string) []byte {
	return run(t, bytes.Repeat([]byte{b}, n), args...)
}

// allocated returns what f allocates in all, garbage included.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestBombs holds that a bomb of bytes that are not zero ends at the ratio, and one
// of zeros at the output's limit: how much came out is counted, not how long it
// took. Memory is what all of it allocates, so that many small members of a bomb
// count too.
func TestBombs(t *testing.T) {
	const mib = 1 << 20
	gz := []string{"gzip", "-9", "-c"}
	xz := []string{"xz", "-0", "-c"}
	bz := []string{"bzip2", "-9", "-c"}
	for _, c := range []struct {
		name   string
		layer  Layer
		bomb   []byte
		output int64 // the limit
		want   errcode.Code
		memory uint64 // most that is allocated in all
	}{
		{"gzip of zeros", Gzip, small(t, 0, 64*mib, gz...), 512 * mib, errcode.DecompressedTooLarge, 2 * mib},
		{"gzip of a byte", Gzip, small(t, 'x', 64*mib, gz...), 2 << 40, errcode.ExpansionRatio, 2 * mib},
		{"xz of zeros", XZ, small(t, 0, 16*mib, xz...), 24 * mib, errcode.DecompressedTooLarge, 20 * mib},
		{"xz of a byte", XZ, small(t, 'x', 64*mib, xz...), 2 << 40, errcode.ExpansionRatio, 20 * mib},
		{"zstd of zeros", Zstd, zstdBomb(0, 4096), 1024 * mib, errcode.DecompressedTooLarge, 20 * mib},
		{"zstd of a byte", Zstd, zstdBomb('x', 4096), 2 << 40, errcode.ExpansionRatio, 20 * mib},
		{"bzip2 of zeros", Bzip2, small(t, 0, 64*mib, bz...), 128 * mib, errcode.DecompressedTooLarge, 20 * mib},
		{"bzip2 of a byte", Bzip2, small(t, 'x', 64*mib, bz...), 2 << 40, errcode.ExpansionRatio, 20 * mib},
	} {
		t.Run(c.name, func(t *testing.T) {
			lim := DefaultLimits()
			lim.Output = c.output
			var out, in int64
			var err error
			got := allocated(func() {
				var z *Reader
				if z, err = Open(repeated(c.bomb, bombBytes), c.layer, lim); err == nil {
					out, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{z}, make([]byte, 64<<10))
					in = z.In()
				}
			})
			wantCode(t, err, c.want)
			if out > c.output {
				t.Errorf("%d bytes came out, the limit is %d", out, c.output)
			}
			if c.want == errcode.ExpansionRatio && out > max(ratioFloor, in*lim.Ratio) {
				t.Errorf("%d bytes came out of %d", out, in)
			}
			if got > c.memory {
				t.Errorf("%d bytes were allocated, at most %d", got, c.memory)
			}
			t.Logf("%d bytes of %d gave %d, with %d allocated", in, bombBytes/len(c.bomb)*len(c.bomb), out, got)
		})
	}
}

// xzBlocks is a stream of n blocks, each with one byte and a dictionary.
func xzBlocks(n int, dictionary byte) []byte {
	le := binary.LittleEndian
	withSum := func(p []byte) []byte { return le.AppendUint32(p, crc32.ChecksumIEEE(p)) }
	p := append([]byte(magicXZ), 0, 0)
	p = le.AppendUint32(p, crc32.ChecksumIEEE([]byte{0, 0}))
	index := []byte{0}
	for v := uint64(n); ; v >>= 7 {
		if v < 0x80 {
			index = append(index, byte(v))
			break
		}
		index = append(index, byte(v)|0x80)
	}
	block := withSum([]byte{2, 0, 0x21, 1, dictionary, 0, 0, 0})
	block = append(block, 1, 0, 0, 'x', 0, 0, 0, 0) // a chunk, the end, padding
	for range n {
		p = append(p, block...)
		index = append(index, 12+5, 1)
	}
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	index = withSum(index)
	p = append(p, index...)
	footer := append(le.AppendUint32(nil, uint32(len(index)/4-1)), 0, 0)
	p = le.AppendUint32(p, crc32.ChecksumIEEE(footer))
	return append(append(p, footer...), "YZ"...)
}

// TestManyDictionariesTakeOne is the bomb of memory and time that a decoder with a
// dictionary for each block would fall for: 500,000 of 64 MiB.
func TestManyDictionariesTakeOne(t *testing.T) {
	const blocks = bombBytes / 22
	p := xzBlocks(blocks, 28) // 64 MiB
	var n int64
	var err error
	got := allocated(func() {
		var z *Reader
		if z, err = Open(bytes.NewReader(p), XZ, DefaultLimits()); err == nil {
			n, err = io.Copy(io.Discard, z)
		}
	})
	if err != nil || n != blocks {
		t.Fatalf("%d bytes, %v; want %d", n, err, blocks)
	}
	// For each chunk the decoder allocates a buffer of 32 KiB, which is garbage at
	// once.
	if most := uint64(64<<20 + 40_000*blocks); got > most {
		t.Errorf("%d bytes were allocated, at most %d", got, most)
	}
	// The real tool agrees that the file is right.
	if out := run(t, xzBlocks(300, 28), "xz", "-dc"); len(out) != 300 {
		t.Errorf("xz unpacks %d bytes of 300", len(out))
	}
}

func TestOutputAtTheLimitAndPast(t *testing.T) {
	in := content(96 << 10)
	for _, args := range [][]string{{"gzip", "-c"}, {"xz", "-c"}, {"zstd", "-c"}, {"bzip2", "-c"}} {
		p := run(t, in, args...)
		lim := DefaultLimits()
		lim.Output = int64(len(in))
		got, err := unwrapped(t, p, lim)
		if err != nil || !bytes.Equal(got, in) {
			t.Errorf("%s at the limit: %d bytes, %v", args[0], len(got), err)
		}
		lim.Output--
		got, err = unwrapped(t, p, lim)
		wantCode(t, err, errcode.DecompressedTooLarge)
		if !bytes.Equal(got, in[:len(in)-1]) {
			t.Errorf("%s past the limit: %d bytes came out", args[0], len(got))
		}
		lim.Output = 0
		if got, err = unwrapped(t, p, lim); len(got) != 0 {
			t.Errorf("%s with nothing allowed: %d bytes", args[0], len(got))
		}
		wantCode(t, err, errcode.DecompressedTooLarge)
	}
}

// TestRatiosAtTheLimitAndPast sets the counters, which tests of 64 GiB would reach
// by themselves.
func TestRatiosAtTheLimitAndPast(t *testing.T) {
	const in = 64 << 10
	for _, c := range []struct {
		name      string
		data, out int64
		ratio     int64
		zeroRatio int64
		refused   bool
	}{
		{"floor", ratioFloor, ratioFloor, 1, 1 << 20, false},
		{"past the floor", ratioFloor + 1, ratioFloor + 1, 1, 1 << 20, true},
		{"ratio", 1000 * in, 1000 * in, 1000, 1 << 20, false},
		{"past the ratio", 1000*in + 1, 1000*in + 1, 1000, 1 << 20, true},
		{"floor of zeros", 0, zeroRatioFloor, 1000, 1, false},
		{"past the floor of zeros", 0, zeroRatioFloor + 1, 1000, 1, true},
		{"ratio of zeros", 0, in << 21, 1000, 1 << 21, false},
		{"past the ratio of zeros", 0, in<<21 + 1, 1000, 1 << 21, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := newInput(bytes.NewReader(make([]byte, in)), Gzip)
			if _, err := io.Copy(io.Discard, src.Reader); err != nil {
				t.Fatal(err)
			}
			z := &Reader{layer: Gzip, in: src, data: c.data, out: c.out, lim: Limits{Ratio: c.ratio, ZeroRatio: c.zeroRatio}}
			err := z.ratio()
			if c.refused {
				wantCode(t, err, errcode.ExpansionRatio)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDataIsCountedByBlocks holds that one byte in a block counts as the block,
// however it is read.
func TestDataIsCountedByBlocks(t *testing.T) {
	p := make([]byte, 5*blockBytes+100)
	p[0], p[2*blockBytes-1], p[4*blockBytes], p[4*blockBytes+2000] = 1, 1, 1, 1
	for _, step := range []int{1, 7, 512, blockBytes - 1, blockBytes, len(p)} {
		z := &Reader{}
		for q := p; len(q) > 0; {
			n := min(step, len(q))
			z.count(q[:n])
			q = q[n:]
		}
		if z.data != 3*blockBytes || z.out != int64(len(p)) {
			t.Errorf("in pieces of %d: %d of %d bytes are data", step, z.data, z.out)
		}
	}
}
