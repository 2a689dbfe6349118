package vhdx

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// badChild is a child of badDisk's size. Its blocks 0 and 1 are partially
// present at 4 and 5 MiB, its sector bitmap lies at 6 MiB.
func badChild(n byte) *builder {
	b := newBuilder(imgtest.New(5*mib, uint64(n)+5, imgtest.Run{Off: 0, Len: 2 * mib, Kind: imgtest.Noise}), mib)
	b.flags, b.id, b.locator = hasParent, diskID(n), linkTo(diskID(n+1))
	b.state[0], b.state[1] = blockPartiallyPresent, blockPartiallyPresent
	b.ours = func(s int64) bool { return s%3 == 0 }
	return b
}

// badChain is a chain of three files, the child's first.
func badChain() [][]byte {
	base := badDisk()
	base.id = diskID(2)
	return [][]byte{badChild(0).bytes(), badChild(1).bytes(), base.bytes()}
}

// useSet opens the first file over the others, validates and reads it.
func useSet(files [][]byte, lim formats.Limits) error {
	d, err := openSet(files[0], lim, files[1:]...)
	if err != nil {
		return err
	}
	defer d.Close()
	_, invalid := d.(formats.Validator).Validate(context.Background())
	for e, err := range formats.Extents(d, 0, d.Size()) {
		if err != nil {
			return err
		}
		if _, err := d.ReadAt(make([]byte, e.Len), e.Off); err != nil {
			return err
		}
	}
	return invalid
}

// change returns what changes one file of a chain.
func change(i int, m mutation) func([][]byte) [][]byte {
	return func(files [][]byte) [][]byte {
		files[i] = m(files[i])
		return files
	}
}

// rebuild returns what builds one of the children anew.
func rebuild(i int, set func(b *builder)) func([][]byte) [][]byte {
	return change(i, func([]byte) []byte {
		b := badChild(byte(i))
		set(b)
		return b.bytes()
	})
}

// rebase returns what builds the base anew.
func rebase(disk *imgtest.Disk, set func(b *builder)) func([][]byte) [][]byte {
	return change(2, func([]byte) []byte {
		b := newBuilder(disk, mib)
		b.id = diskID(2)
		set(b)
		return b.bytes()
	})
}

func TestRefusedSets(t *testing.T) {
	const bitmapAt = 8 * 4096 // in the BAT
	bitmap := func(v uint64) mutation {
		return formattest.Set(badBAT+bitmapAt, binary.LittleEndian.AppendUint64(nil, v)...)
	}
	linkage := func(pairs ...[2]string) func(b *builder) {
		return func(b *builder) { b.locator = locatorOf(pairs...) }
	}
	id := func(n byte) []byte { g := diskID(n); return g[:] }
	good := badChain()
	if err := useSet(good, formats.DefaultLimits()); err != nil {
		t.Fatalf("the good set is refused: %v", err)
	}
	for _, c := range []struct {
		name string
		make func(files [][]byte) [][]byte
		want errcode.Code
	}{
		{"the parent is missing", func(f [][]byte) [][]byte { return [][]byte{f[0], f[2]} }, errcode.MemberMissing},
		{"the parent's parent is missing", func(f [][]byte) [][]byte { return f[:2] }, errcode.MemberMissing},
		{"the parent was changed", change(1, head(32, 0x77)), errcode.MemberMissing},
		{"only FileWriteGuid is the identity", change(1, all(head(16, id(1)...), head(32, id(7)...))), errcode.MemberMissing},
		{"only the identity of the older header fits", change(1, func(f []byte) []byte {
			h := f[header2Off:][:headerBytes]
			copy(h[8:], le64(8))
			copy(h[32:], id(7))
			seal(h)
			return f
		}), errcode.MemberMissing},
		{"a member too many", func(f [][]byte) [][]byte { return append(f, head(32, id(7)...)(bytes.Clone(f[2]))) }, errcode.MemberMismatch},
		{"a member twice", func(f [][]byte) [][]byte { return append(f, f[2]) }, errcode.MemberMismatch},
		{"members of a disk without a parent", func(f [][]byte) [][]byte { return [][]byte{f[2], f[1]} }, errcode.MemberMismatch},
		{"a disk is its own parent", func(f [][]byte) [][]byte { return [][]byte{head(32, id(1)...)(f[0]), head(32, id(5)...)(f[1])} }, errcode.VHDXMetadata},
		{"two disks are each other's parents", func(f [][]byte) [][]byte { return [][]byte{f[0], f[1], head(32, id(2)...)(bytes.Clone(f[0]))} }, errcode.VHDXMetadata},
		{"a member is no VHDX", change(1, formattest.Set(0, 'V')), errcode.FormatMismatch},
		{"a member is empty", change(1, func([]byte) []byte { return nil }), errcode.FormatMismatch},
		{"a member has no header", change(2, all(formattest.Set(header1Off, 0), formattest.Set(header2Off, 0))), errcode.VHDXHeader},
		{"a member's metadata are damaged", change(2, meta(0, 'M')), errcode.VHDXMetadata},
		{"a member's log cannot be replayed", change(1, head(48, logGUID[:]...)), errcode.VHDXLogInvalid},
		{"65 parents", func(f [][]byte) [][]byte { return append(f[:2:2], slices.Repeat(f[2:], maxChain)...) }, errcode.ParserLimit},
		{"parent is longer", rebase(imgtest.New(5*mib+512, 1), func(*builder) {}), errcode.MemberMismatch},
		{"parent is shorter", rebase(imgtest.New(5*mib-512, 1), func(*builder) {}), errcode.MemberMismatch},
		{"parent has other sectors", rebase(imgtest.New(5*mib, 1), func(b *builder) { b.logical = 4096 }), errcode.MemberMismatch},

		{"locator of another type", change(0, meta(64*kib+40, 0)), errcode.VHDXDifferencing},
		{"no parent_linkage", rebuild(0, linkage([2]string{"parent_linkage2", "{" + diskID(1).String() + "}"})), errcode.VHDXMetadata},
		{"parent_linkage twice", rebuild(1, linkage([2]string{"parent_linkage", "{" + diskID(2).String() + "}"}, [2]string{"parent_linkage", "{" + diskID(2).String() + "}"})), errcode.VHDXMetadata},
		{"parent_linkage without braces", rebuild(0, linkage([2]string{"parent_linkage", diskID(1).String()})), errcode.VHDXMetadata},
		{"parent_linkage too long", rebuild(0, linkage([2]string{"parent_linkage", "{" + diskID(1).String() + "} "})), errcode.VHDXMetadata},
		{"parent_linkage is not hexadecimal", rebuild(0, linkage([2]string{"parent_linkage", "{" + "G" + diskID(1).String()[1:] + "}"})), errcode.VHDXMetadata},
		{"parent_linkage2 is no GUID", rebuild(0, linkage([2]string{"parent_linkage", "{" + diskID(1).String() + "}"}, [2]string{"parent_linkage2", "x"})), errcode.VHDXMetadata},
		{"parent_linkage is zero", rebuild(0, linkage([2]string{"parent_linkage", "{" + guid{}.String() + "}"})), errcode.VHDXMetadata},

		{"no sector bitmap", change(0, bitmap(0)), errcode.TableBounds},
		{"no sector bitmap, in a parent", change(1, bitmap(0)), errcode.TableBounds},
		{"sector bitmap in a payload block's state", change(0, bitmap(6*mib|blockPartiallyPresent)), errcode.TableBounds},
		{"sector bitmap with reserved bits", change(0, bitmap(6*mib|1<<10|bitmapPresent)), errcode.TableBounds},
		{"sector bitmap that is not needed has a state that is reserved", change(0, all(entry(0, 0), entry(1, 0), bitmap(2))), errcode.TableBounds},
		{"sector bitmap past the end", change(0, bitmap(7*mib|bitmapPresent)), errcode.Truncated},
		{"sector bitmap at the highest offset", change(0, bitmap(entryOffset|bitmapPresent)), errcode.Truncated},
		{"sector bitmap cut off", change(0, formattest.Cut(1)), errcode.Truncated},
		{"sector bitmap in the header section", change(0, bitmap(bitmapPresent)), errcode.AliasedBlocks},
		{"sector bitmap in the log", change(0, bitmap(mib|bitmapPresent)), errcode.AliasedBlocks},
		{"sector bitmap in the BAT", change(1, bitmap(badBAT|bitmapPresent)), errcode.AliasedBlocks},
		{"sector bitmap in the metadata", change(0, bitmap(badMeta|bitmapPresent)), errcode.AliasedBlocks},
		{"sector bitmap in a block", change(0, bitmap(5*mib|bitmapPresent)), errcode.AliasedBlocks},
		{"block in the sector bitmap", change(0, entry(2, 6*mib|blockFullyPresent)), errcode.AliasedBlocks},
		{"two partially present blocks in one place", change(0, entry(1, 4*mib|blockPartiallyPresent)), errcode.AliasedBlocks},
		{"partially present block past the end", change(0, entry(2, 9*mib|blockPartiallyPresent)), errcode.Truncated},
		{"partially present block in the metadata", change(0, entry(2, badMeta|blockPartiallyPresent)), errcode.AliasedBlocks},
		{"block with a state that is reserved", change(1, entry(3, 4)), errcode.TableBounds},
		{"partially present block in the base", change(2, entry(0, 4*mib|blockPartiallyPresent)), errcode.TableBounds},
	} {
		t.Run(c.name, func(t *testing.T) {
			var files [][]byte
			for _, f := range good {
				files = append(files, bytes.Clone(f))
			}
			err := useSet(c.make(files), formats.DefaultLimits())
			if got := errcode.Of(err); got != c.want {
				t.Fatalf("refused with %q, want %s: %v", got, c.want, err)
			}
			if e, ok := errcode.As(err); !ok || e.Evidence == nil || e.Evidence.Format == "" {
				t.Errorf("no evidence in %v", err)
			}
		})
	}
}

// TestBATOfAChildHoldsTheLastBitmap: 131040 payload entries and those between
// chunks fit a BAT of 1 MiB, the last chunk's own does not.
func TestBATOfAChildHoldsTheLastBitmap(t *testing.T) {
	const blocks = 131_040
	parent := newBuilder(imgtest.New(blocks*mib, 1), mib)
	parent.id = diskID(1)
	b := newBuilder(parent.disk, mib)
	b.locator = linkTo(diskID(1))
	file := b.bytes() // of a BAT that suffices without a parent
	if n := b.metaOff - b.batOff; n != mib {
		t.Fatalf("BAT of %d bytes", n)
	}
	if _, err := openSet(meta(badParams+4, hasParent)(file), formats.DefaultLimits(), parent.bytes()); errcode.Of(err) != errcode.VHDXRegion {
		t.Errorf("%v, want %s", err, errcode.VHDXRegion)
	}
}

// chainOf returns a chain of n empty parents and their child.
func chainOf(n int) [][]byte {
	var files [][]byte
	for i := range n + 1 {
		b := newBuilder(imgtest.New(mib, 1, imgtest.Run{Off: int64(i) * 512, Len: 512, Kind: imgtest.Noise}), mib)
		b.flags, b.id, b.locator = hasParent, diskID(byte(i)), linkTo(diskID(byte(i+1)))
		b.state[0] = blockPartiallyPresent
		b.ours = func(s int64) bool { return s == int64(i) }
		if i == n {
			b.flags, b.locator = 0, nil
			delete(b.state, 0)
		}
		files = append(files, b.bytes())
	}
	return files
}

func TestLongestChain(t *testing.T) {
	files := chainOf(maxChain)
	if err := useSet(files, formats.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	d, err := openSet(files[0], formats.DefaultLimits(), files[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, (maxChain+1)*512)
	for i := range maxChain + 1 {
		imgtest.ReadFull(t, imgtest.New(mib, 1, imgtest.Run{Off: int64(i) * 512, Len: 512, Kind: imgtest.Noise}), want[i*512:][:512], int64(i)*512)
	}
	got := make([]byte, len(want))
	if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the sectors of %d parents and the child differ, %v", maxChain, err)
	}
}

// TestLogsOfAChainShareABound: each log may be as long as that of one file, all
// together no longer.
func TestLogsOfAChainShareABound(t *testing.T) {
	long := func(b *builder, logBytes int64) []byte {
		b.logBytes = logBytes
		f := b.bytes()
		return dirty(f, logBytes, logged{sequence: 1, writes: []write{{off: mib + logBytes, zero: 0}}})
	}
	base := badDisk()
	base.id = diskID(2)
	for over, want := range map[int64]errcode.Code{0: "", mib: errcode.ParserLimit} {
		err := useSet([][]byte{long(badChild(0), 10*mib), long(badChild(1), 10*mib+over), long(base, maxLogBytes-20*mib)}, formats.DefaultLimits())
		if got := errcode.Of(err); got != want {
			t.Errorf("logs %d bytes over the bound: %v, want %q", over, err, want)
		}
	}
}
