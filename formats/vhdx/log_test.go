package vhdx

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// logDisk has data, stored zeros and holes in blocks of 1 MiB; its last block
// is stored and holds zeros.
func logDisk() *imgtest.Disk {
	return imgtest.New(12*mib, 5, imgtest.Run{Off: 0, Len: 3 * mib, Kind: imgtest.Noise},
		imgtest.Run{Off: 5*mib + 100, Len: 2 * mib, Kind: imgtest.Text}, imgtest.Run{Off: 10 * mib, Len: 4096, Kind: imgtest.Noise})
}

// A dirtyCase damages a sound file and puts the log into it that mends it.
type dirtyCase struct {
	name string
	make func(b *builder, file []byte) []byte
	// qemu is set if qemu-img replays the log as the specification says.
	qemu bool
}

// take returns what lies at off and overwrites it with junk.
func take(file []byte, off, n int64) []byte {
	p := bytes.Clone(file[off : off+n])
	copy(file[off:], bytes.Repeat([]byte{0xA7}, int(n)))
	return p
}

func junk(n int) []byte { return bytes.Repeat([]byte{0x5B}, n) }

func dirtyCases() []dirtyCase {
	const n = logSector
	return []dirtyCase{
		{"one data descriptor", func(b *builder, f []byte) []byte {
			return dirty(f, mib, logged{sequence: 1, writes: pages(b.batOff, take(f, b.batOff, n))})
		}, true},
		{"later entry wins", func(b *builder, f []byte) []byte {
			good := take(f, b.batOff, n)
			return dirty(f, mib, logged{sequence: 1, writes: pages(b.batOff, junk(n))},
				logged{at: 2 * n, sequence: 2, writes: pages(b.batOff, good)})
		}, true},
		{"later descriptor wins", func(b *builder, f []byte) []byte {
			good := take(f, b.batOff, 4*n)
			return dirty(f, mib, logged{sequence: 9, writes: append([]write{{off: b.batOff, zero: 4 * n}}, pages(b.batOff, good[:n])...)})
		}, true},
		{"zeros over data", func(b *builder, f []byte) []byte {
			good := take(f, b.batOff, 4*n)
			return dirty(f, mib, logged{sequence: 9, writes: append(pages(b.batOff, junk(4*n)), append([]write{{off: b.batOff, zero: 4 * n}}, pages(b.batOff, good[:n])...)...)})
		}, true},
		{"torn last entry", func(b *builder, f []byte) []byte {
			good := take(f, b.batOff, n)
			f = dirty(f, mib, logged{sequence: 4, writes: pages(b.batOff, good)})
			torn := logged{at: 2 * n, sequence: 5, writes: pages(b.batOff, junk(2*n))}.bytes()
			torn[len(torn)-100]++
			putLog(f, mib, 2*n, torn)
			return f
		}, true},
		{"last entry without its last sector", func(b *builder, f []byte) []byte {
			good := take(f, b.batOff, n)
			f = dirty(f, mib, logged{sequence: 4, writes: pages(b.batOff, good)})
			torn := logged{at: 2 * n, sequence: 5, writes: pages(b.batOff, junk(2*n))}.bytes()
			putLog(f, mib, 2*n, torn[:2*n])
			return f
		}, true},
		{"entry wraps", func(b *builder, f []byte) []byte {
			return dirty(f, mib, logged{at: mib - 2*n, tail: mib - 2*n, sequence: 3, writes: pages(b.batOff, take(f, b.batOff, 3*n))})
		}, false},
		{"sequence wraps", func(b *builder, f []byte) []byte {
			good := take(f, b.batOff, n)
			return dirty(f, mib, logged{at: mib - 2*n, tail: mib - 2*n, sequence: 3, writes: pages(b.batOff, junk(n))},
				logged{at: 0, tail: mib - 2*n, sequence: 4, writes: pages(b.batOff, good)})
		}, false},
		{"entries before the tail are done", func(b *builder, f []byte) []byte {
			good := take(f, b.batOff, n)
			return dirty(f, mib, logged{sequence: 3, writes: pages(b.metaOff, junk(n))},
				logged{at: 2 * n, tail: 2 * n, sequence: 4, writes: pages(b.batOff, good)})
		}, false},
		{"the newer of two sequences", func(b *builder, f []byte) []byte {
			good := take(f, b.batOff, n)
			return dirty(f, mib, logged{at: 40 * n, tail: 40 * n, sequence: 13, writes: pages(b.batOff, good)},
				logged{at: 0, tail: 0, sequence: 3, writes: pages(b.batOff, junk(n))},
				logged{at: 80 * n, tail: 80 * n, sequence: 8, writes: pages(b.batOff, junk(n))})
		}, true},
		{"newest sequence has no tail", func(b *builder, f []byte) []byte {
			good := take(f, b.batOff, n)
			return dirty(f, mib, logged{at: 0, sequence: 3, writes: pages(b.batOff, good)},
				logged{at: 40 * n, tail: 38 * n, sequence: 9, writes: pages(b.batOff, junk(n))})
		}, false},
		{"entry of another log", func(b *builder, f []byte) []byte {
			good := take(f, b.batOff, n)
			return dirty(f, mib, logged{sequence: 1, writes: pages(b.batOff, good)},
				logged{at: 2 * n, sequence: 2, id: guid{9}, writes: pages(b.batOff, junk(n))})
		}, true},
		{"region tables and metadata", func(b *builder, f []byte) []byte {
			w := pages(region1Off, take(f, region1Off, 128*kib))
			w = append(w, pages(b.metaOff, take(f, b.metaOff, n))...)
			return dirty(f, mib, logged{sequence: 1, writes: append(w, pages(b.metaOff+64*kib, take(f, b.metaOff+64*kib, n))...)})
		}, false},
		{"descriptors in several sectors", func(b *builder, f []byte) []byte {
			var w []write
			for i := range int64(255) {
				w = append(w, write{off: b.batOff + n + i%200*n, zero: n})
			}
			take(f, b.batOff+n, 200*n)
			return dirty(f, mib, logged{sequence: 1, writes: append(w, pages(b.batOff, take(f, b.batOff, n))...)})
		}, false}, // qemu reads all descriptor sectors into one
		{"no descriptors", func(b *builder, f []byte) []byte { return dirty(f, mib, logged{sequence: 1}) }, true},
		{"sequence above 32 bits", func(b *builder, f []byte) []byte {
			return dirty(f, mib, logged{sequence: 1<<40 + 5, writes: pages(b.batOff, take(f, b.batOff, n))})
		}, true},
		{"last block exists only in LastFileOffset", func(b *builder, f []byte) []byte {
			size := int64(len(f))
			f = f[:size-b.block]
			return dirty(f, mib, logged{sequence: 1, flushed: int64(len(f)), last: size, writes: pages(b.batOff, take(f, b.batOff, n))})
		}, false},
		{"log writes behind the end", func(b *builder, f []byte) []byte {
			size := int64(len(f))
			f = f[:size-b.block]
			return dirty(f, mib, logged{sequence: 1, flushed: int64(len(f)), writes: append(pages(b.batOff, take(f, b.batOff, n)), write{off: size - n, zero: n})})
		}, false},
		{"log writes a payload block", func(b *builder, f []byte) []byte {
			return dirty(f, mib, logged{sequence: 1, writes: pages(b.hosts[1]+8*n, take(f, b.hosts[1]+8*n, 2*n))})
		}, true},
	}
}

func TestLogIsReplayed(t *testing.T) {
	for _, c := range dirtyCases() {
		t.Run(c.name, func(t *testing.T) {
			b := newBuilder(logDisk(), mib)
			b.state[11] = blockFullyPresent
			file := c.make(b, b.bytes())
			before := bytes.Clone(file)
			open := formattest.OpenBytes(Format{}, bytes.NewReader(file), int64(len(file)))
			formattest.Reader(t, formattest.Spec{Open: open, File: bytes.NewReader(file), Want: b.disk})
			if f := open(t).Info().Findings; len(f) != 1 || f[0].Severity != formats.SeverityWarning {
				t.Errorf("findings %+v, want one that the log was applied", f)
			}
			if !bytes.Equal(file, before) {
				t.Error("the file was changed")
			}
			if c.qemu {
				path := filepath.Join(t.TempDir(), "dirty.vhdx")
				if err := os.WriteFile(path, file, 0o600); err != nil {
					t.Fatal(err)
				}
				sameAsRepaired(t, path, open(t))
			}
		})
	}
}

// sameAsRepaired fails the test unless qemu-img reads the same after it has
// replayed the log itself. It changes the file.
func sameAsRepaired(t *testing.T, path string, d formats.Disk) {
	t.Helper()
	imgtest.QemuImg(t, "check", "-q", "-r", "all", "-f", "vhdx", path)
	imgtest.EqualDisk(t, d, imgtest.OpenFile(t, imgtest.Convert(t, path, "vhdx", "raw")))
}

// TestHostOffsetsAvoidTheLog shows that a block which the log changes has no
// host offset, for the file's own bytes are not the guest's.
func TestHostOffsetsAvoidTheLog(t *testing.T) {
	b := newBuilder(logDisk(), mib)
	file := b.bytes()
	host := b.hosts[1]
	file = dirty(file, mib, logged{sequence: 1, writes: pages(host, take(file, host, logSector))})
	d := formattest.OpenBytes(Format{}, bytes.NewReader(file), int64(len(file)))(t)
	for i, plain := range []bool{true, false, true} {
		e, err := d.ExtentAt(int64(i) * mib)
		if err != nil || e.State != formats.Data || (e.HostOff >= 0) != plain {
			t.Errorf("block %d: %+v, %v; plain should be %v", i, e, err, plain)
		}
	}
}

func TestFlattenAgainstAPlainBuffer(t *testing.T) {
	for seed := uint64(1); seed < 40; seed++ {
		const pagesIn = 64
		want, changed := junk(pagesIn*logSector), make([]bool, pagesIn)
		var writes []patch
		rng := rand.New(rand.NewPCG(seed, 2))
		for range 1 + rng.IntN(60) {
			at := rng.IntN(pagesIn)
			if rng.IntN(2) == 0 {
				page := bytes.Repeat([]byte{byte(rng.IntN(255) + 1)}, logSector)
				writes = append(writes, patch{int64(at * logSector), int64(at+1) * logSector, page})
				copy(want[at*logSector:], page)
				changed[at] = true
				continue
			}
			n := 1 + rng.IntN(min(9, pagesIn-at))
			writes = append(writes, patch{int64(at * logSector), int64(at+n) * logSector, nil})
			clear(want[at*logSector : (at+n)*logSector])
			for i := range n {
				changed[at+i] = true
			}
		}
		o := flatten(writes)
		got := junk(len(want))
		o.apply(got, 0)
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: other bytes", seed)
		}
		for range 50 {
			off, n := rng.IntN(len(want)), 1+rng.IntN(3*logSector)
			n = min(n, len(want)-off)
			part := junk(n)
			o.apply(part, int64(off))
			if !bytes.Equal(part, want[off:off+n]) {
				t.Fatalf("seed %d: other bytes in %d, +%d", seed, off, n)
			}
		}
		for i, c := range changed {
			if at := int64(i * logSector); o.touches(at, at+logSector) != c || o.touches(at+5, at+6) != c {
				t.Fatalf("seed %d: page %d touched is not %v", seed, i, c)
			}
		}
	}
}

func TestManyFalseEntriesAreQuick(t *testing.T) {
	// Every sector of 64 MiB claims to be an entry as long as the log: proving
	// all those checksums would read a tebibyte.
	b := newBuilder(logDisk(), mib)
	b.logBytes = maxLogBytes
	file := dirty(b.bytes(), b.logBytes)
	sector := logged{sequence: 5}.bytes()
	sector[8], sector[9], sector[10], sector[11] = 0, 0, 0, 4
	for at := int64(0); at < maxLogBytes; at += logSector {
		putLog(file, b.logBytes, at, sector)
	}
	_, err := Format{}.Open(bytes.NewReader(file), int64(len(file)), formats.DefaultLimits())
	if errcode.Of(err) != errcode.VHDXLogInvalid {
		t.Errorf("open: %v", err)
	}
}
