package vmdk

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// le32 and le64 overwrite a number.
func le32(off int, v uint32) func([]byte) []byte {
	return formattest.Set(off, binary.LittleEndian.AppendUint32(nil, v)...)
}

func le64(off int, v uint64) func([]byte) []byte {
	return formattest.Set(off, binary.LittleEndian.AppendUint64(nil, v)...)
}

// text replaces the first occurrence of a text by one of the same length,
// padded with spaces.
func text(old, with string) func([]byte) []byte {
	return func(b []byte) []byte {
		i := bytes.Index(b, []byte(old))
		copy(b[i:], with+strings.Repeat(" ", max(0, len(old)-len(with))))
		return b
	}
}

// insert puts a line into the descriptor, which must have room for it.
func insert(line string) func([]byte) []byte {
	return func(b []byte) []byte {
		end := sectorBytes + bytes.IndexByte(b[sectorBytes:], 0)
		copy(b[end:], line+"\n")
		return b
	}
}

// small returns the limits but for the one that fn lowers.
func small(fn func(*formats.Limits)) *formats.Limits {
	l := formats.DefaultLimits()
	fn(&l)
	return &l
}

// full is a disk whose grains are all stored.
func full() *imgtest.Disk {
	return imgtest.New(3<<20, 1, imgtest.Run{Off: 0, Len: 3 << 20, Kind: imgtest.Noise})
}

func sparseFile(t testing.TB) []byte {
	b, err := os.ReadFile(imgtest.Convert(t, imgtest.WriteRaw(t, full()), "raw", "vmdk", "subformat=monolithicSparse"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRefusedSparse(t *testing.T) {
	formattest.Refused(t, Format{}, sparseFile(t), []formattest.Bad{
		{Name: "not a vmdk", Make: formattest.Set(0, 'X'), Want: errcode.FormatMismatch},
		{Name: "empty file", Make: func(b []byte) []byte { return nil }, Want: errcode.FormatMismatch},
		{Name: "magic only", Make: func(b []byte) []byte { return b[:4] }, Want: errcode.Truncated},
		{Name: "cowd", Make: formattest.Set(0, []byte("COWD\x01\x00\x00\x00")...), Want: errcode.VMDKSubformat},
		{Name: "sesparse", Make: formattest.Set(0, []byte(magicSE)...), Want: errcode.VMDKSubformat},
		{Name: "version 0", Make: le32(4, 0), Want: errcode.VMDKHeader},
		{Name: "version 4", Make: le32(4, 4), Want: errcode.VMDKHeader},
		{Name: "unknown required flag", Make: le32(8, 0x40003), Want: errcode.VMDKHeader},
		{Name: "text mode transfer", Make: formattest.Set(75, '\n'), Want: errcode.VMDKHeader},
		{Name: "algorithm without flag", Make: formattest.Set(77, 1), Want: errcode.VMDKHeader},
		{Name: "unknown algorithm", Make: formattest.Set(77, 2), Want: errcode.VMDKHeader},
		{Name: "markers without compression", Make: le32(8, 0x20003), Want: errcode.VMDKHeader},
		{Name: "capacity 0 with descriptor", Make: le64(12, 0), Want: errcode.VMDKExtentPath},
		{Name: "capacity 0 without descriptor", Make: func(b []byte) []byte { return le64(28, 0)(le64(12, 0)(b)) }, Want: errcode.VirtualSizeZero},
		{Name: "144 petabytes", Make: le64(12, 0xFFFFFFFF0001), Want: errcode.VirtualSizeTooLarge},
		{Name: "capacity overflows bytes", Make: le64(12, 1<<63), Want: errcode.VirtualSizeTooLarge},
		{Name: "virtual size one above the limit", Make: func(b []byte) []byte { return b }, Want: errcode.VirtualSizeTooLarge,
			Limits: small(func(l *formats.Limits) { l.VirtualSize = 3<<20 - 1 })},
		{Name: "grain size 0", Make: le64(20, 0), Want: errcode.VMDKHeader},
		{Name: "grain size 96", Make: le64(20, 96), Want: errcode.VMDKHeader},
		{Name: "grain size 4", Make: le64(20, 4), Want: errcode.VMDKHeader},
		{Name: "grain size above the limit", Make: le64(20, 8192), Want: errcode.VMDKHeader},
		{Name: "no entries in a grain table", Make: le32(44, 0), Want: errcode.VMDKHeader},
		{Name: "513 entries in a grain table", Make: le32(44, 513), Want: errcode.VMDKHeader},
		{Name: "directory above the limit", Make: le64(12, 1<<30+1), Want: errcode.TableBounds,
			Limits: small(func(l *formats.Limits) { l.TableBytes = 1 << 16 })},
		{Name: "directory at 0", Make: le64(56, 0), Want: errcode.Truncated},
		{Name: "directory past the end", Make: le64(56, 1<<40), Want: errcode.Truncated},
		{Name: "directory longer than the file", Make: le64(12, 1<<36), Want: errcode.Truncated},
		{Name: "cut within its tables", Make: func(b []byte) []byte { return b[:60000] }, Want: errcode.Truncated},
		{Name: "cut within its last grain", Make: formattest.Cut(1), Want: errcode.Truncated},
		{Name: "piece of a split disk", Make: le64(28, 0), Want: errcode.VMDKSubformat},
		{Name: "descriptor elsewhere", Make: le64(28, 2), Want: errcode.VMDKDescriptor},
		{Name: "descriptor above the limit", Make: le64(36, 2049), Want: errcode.VMDKDescriptor},
		{Name: "descriptor of nothing", Make: formattest.Set(512, 0), Want: errcode.VMDKDescriptor},
		{Name: "descriptor of control characters", Make: text("# Disk DescriptorFile", "\x1b[2J"), Want: errcode.VMDKDescriptor},
		{Name: "descriptor of garbage", Make: text("# Disk DescriptorFile", "hello"), Want: errcode.VMDKDescriptor},
		{Name: "no createType", Make: text("createType", "dreateType"), Want: errcode.VMDKDescriptor},
		{Name: "two createTypes", Make: insert(`createType="vmfs"`), Want: errcode.VMDKDescriptor},
		{Name: "createType vmfs", Make: text(`"monolithicSparse"`, `"vmfs"`), Want: errcode.VMDKSubformat},
		{Name: "createType fullDevice", Make: text(`"monolithicSparse"`, `"fullDevice"`), Want: errcode.VMDKSubformat},
		{Name: "parentCID", Make: text("parentCID=ffffffff", "parentCID=00000001"), Want: errcode.VMDKParent},
		{Name: "parent hint", Make: insert(`parentFileNameHint="/etc/passwd"`), Want: errcode.VMDKParent},
		{Name: "flat extent", Make: text("SPARSE", "FLAT"), Want: errcode.VMDKExtentPath},
		{Name: "extent with a path", Make: text(`"image.vmdk"`, `"/dev/sda"`), Want: errcode.VMDKExtentPath},
		{Name: "extent with a drive", Make: text(`"image.vmdk"`, `"C:x"`), Want: errcode.VMDKExtentPath},
		{Name: "second extent", Make: insert(`RW 64 FLAT "/etc/shadow" 0`), Want: errcode.VMDKExtentPath},
		{Name: "grain past the end", Make: func(b []byte) []byte { setGTE(b, 7, 0x7FFFFFFF); return b }, Want: errcode.Truncated},
		{Name: "grain in the header", Make: func(b []byte) []byte { setGTE(b, 7, 1); return b }, Want: errcode.AliasedBlocks},
		{Name: "grain in the grain table", Make: func(b []byte) []byte { setGTE(b, 7, uint32(binary.LittleEndian.Uint64(b[56:]))); return b }, Want: errcode.AliasedBlocks},
		{Name: "two grains in one place", Make: func(b []byte) []byte { setGTE(b, 7, gteOf(b, 9)); return b }, Want: errcode.AliasedBlocks},
		{Name: "grains overlap from before", Make: func(b []byte) []byte { setGTE(b, 7, gteOf(b, 9)-1); return b }, Want: errcode.AliasedBlocks},
		{Name: "grains overlap from behind", Make: func(b []byte) []byte { setGTE(b, 7, gteOf(b, 9)+127); return b }, Want: errcode.AliasedBlocks},
		{Name: "grain table past the end", Make: func(b []byte) []byte { return le32(int(binary.LittleEndian.Uint64(b[56:])*sectorBytes), 1<<30)(b) }, Want: errcode.Truncated},
		{Name: "grain table in the descriptor", Make: func(b []byte) []byte { return le32(int(binary.LittleEndian.Uint64(b[56:])*sectorBytes), 3)(b) }, Want: errcode.AliasedBlocks},
		{Name: "two directory entries share a table", Make: func(b []byte) []byte {
			gd := int(binary.LittleEndian.Uint64(b[56:]) * sectorBytes)
			return le32(gd+4, binary.LittleEndian.Uint32(b[gd:]))(le64(12, 2*512*128)(b))
		}, Want: errcode.AliasedBlocks},
	})
}

func TestRefusedStream(t *testing.T) {
	good := stream(t, full(), dialect{footer: true, version: 3})
	grain := func(b []byte, i int) int {
		footer := b[len(b)-2*sectorBytes:]
		gd := binary.LittleEndian.Uint64(footer[56:]) * sectorBytes
		gt := binary.LittleEndian.Uint32(b[gd:]) * sectorBytes
		return int(binary.LittleEndian.Uint32(b[gt+4*uint32(i):])) * sectorBytes
	}
	at := func(i, rel int, p ...byte) func([]byte) []byte {
		return func(b []byte) []byte { return formattest.Set(grain(b, i)+rel, p...)(b) }
	}
	formattest.Refused(t, Format{}, good, []formattest.Bad{
		{Name: "cut by a byte", Make: formattest.Cut(1), Want: errcode.VMDKFooter},
		{Name: "cut by a sector", Make: formattest.Cut(512), Want: errcode.VMDKFooter},
		{Name: "cut to half", Make: func(b []byte) []byte { return b[:len(b)/2] }, Want: errcode.VMDKFooter},
		{Name: "cut to header and descriptor", Make: func(b []byte) []byte { return b[:1536] }, Want: errcode.VMDKFooter},
		{Name: "footer without magic", Make: formattest.Set(-1024, 'X'), Want: errcode.VMDKFooter},
		{Name: "footer marker of another type", Make: formattest.Set(-1536+12, markerGD), Want: errcode.VMDKFooter},
		{Name: "no end of stream", Make: formattest.Set(-512+12, markerGT), Want: errcode.VMDKFooter},
		{Name: "footer of another version", Make: formattest.Set(-1024+4, 1), Want: errcode.VMDKFooter},
		{Name: "footer of another capacity", Make: formattest.Set(-1024+13, 0x17), Want: errcode.VMDKFooter},
		{Name: "footer of another grain size", Make: formattest.Set(-1024+20, 64), Want: errcode.VMDKFooter},
		{Name: "footer points at a footer", Make: formattest.Set(-1024+56, bytes.Repeat([]byte{255}, 8)...), Want: errcode.VMDKFooter},
		{Name: "footer directory past the end", Make: formattest.Set(-1024+60, 1), Want: errcode.Truncated},
		{Name: "grain of another address", Make: at(5, 0, 1), Want: errcode.VMDKGrain},
		{Name: "grain of no bytes", Make: at(5, 8, 0, 0, 0, 0), Want: errcode.VMDKGrain},
		{Name: "grain above two grains", Make: at(5, 8, 1, 0, 2, 0), Want: errcode.VMDKGrain},
		{Name: "last grain of 4 GiB", Make: at(47, 8, 255, 255, 255, 255), Want: errcode.VMDKGrain},
		{Name: "last grain passes the end", Make: at(47, 8, 0, 0, 2, 0), Want: errcode.Truncated},
		{Name: "stream header", Make: at(5, 12, 0), Want: errcode.CompressionCorrupt},
		{Name: "first stream header", Make: at(0, 12, 0), Want: errcode.CompressionCorrupt},
		{Name: "damaged byte in a stream", Make: at(5, 40000, 1, 2, 3), Want: errcode.CompressionCorrupt},
		{Name: "stream cut short", Make: at(5, 8, 0, 16, 0, 0), Want: errcode.CompressionCorrupt},
		{Name: "two grains in one place", Make: func(b []byte) []byte {
			footer := b[len(b)-2*sectorBytes:]
			gd := binary.LittleEndian.Uint64(footer[56:]) * sectorBytes
			gt := binary.LittleEndian.Uint32(b[gd:]) * sectorBytes
			copy(b[gt:gt+4], b[gt+4:])
			return b
		}, Want: errcode.AliasedBlocks},
		{Name: "expands above the limit", Make: func(b []byte) []byte { return b }, Want: errcode.ExpansionRatio,
			Limits: small(func(l *formats.Limits) { l.ExpansionRatio = -1 })},
	})
}

func TestRefusedLengthsOfAGrain(t *testing.T) {
	for _, c := range []struct {
		name string
		n    int
	}{{"short", 65535}, {"long", 65537}} {
		t.Run(c.name, func(t *testing.T) {
			b := stream(t, full(), dialect{version: 3})
			var grain bytes.Buffer
			writeGrain(t, &grain, 0, make([]byte, c.n))
			copy(b[128*sectorBytes:], grain.Bytes())
			d, err := Format{}.Open(bytes.NewReader(b), int64(len(b)), formats.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.ReadAt(make([]byte, 512), 0); errcode.Of(err) != errcode.CompressionCorrupt {
				t.Errorf("read of a %s grain: %v, want %s", c.name, err, errcode.CompressionCorrupt)
			}
		})
	}
}

func TestTextDescriptors(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       errcode.Code
	}{
		{"vmfs", "# Disk DescriptorFile\nversion=1\ncreateType=\"vmfs\"\nRW 8 VMFS \"x-flat.vmdk\"\n", errcode.VMDKDescriptorOnly},
		{"crlf and blanks", "#\r\n \r\n# Disk DescriptorFile  \r\nversion=1\r\n", errcode.VMDKDescriptorOnly},
		{"qemu's idea of one", "#!/bin/sh\n\n  version=2\nRW 1 FLAT \"/etc/passwd\" 0\n", errcode.VMDKDescriptorOnly},
		{"createType first", "createType=\"monolithicFlat\"\n", errcode.VMDKDescriptorOnly},
		{"shell script", "#!/bin/sh\necho version=1\n", errcode.FormatMismatch},
		{"comments only", "# nothing\n", errcode.FormatMismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := []byte(c.text)
			_, err := Format{}.Open(bytes.NewReader(b), int64(len(b)), formats.DefaultLimits())
			if got := errcode.Of(err); got != c.want {
				t.Errorf("open: %q, want %s: %v", got, c.want, err)
			}
			m := Format{}.Match(b, b, int64(len(b)))
			if m.OK != (c.want == errcode.VMDKDescriptorOnly) {
				t.Errorf("match: %+v", m)
			}
		})
	}
}

func TestLimitsHoldExactly(t *testing.T) {
	b := sparseFile(t)
	for _, c := range []struct {
		name string
		set  func(l *formats.Limits, off int64)
		want errcode.Code
	}{
		{"virtual size", func(l *formats.Limits, off int64) { l.VirtualSize = 3<<20 + off }, errcode.VirtualSizeTooLarge},
		{"grain", func(l *formats.Limits, off int64) { l.BlockBytes = 64<<10 + off }, errcode.VMDKHeader},
		{"grain directory", func(l *formats.Limits, off int64) { l.TableBytes = 4 + off }, errcode.TableBounds},
		{"descriptor", func(l *formats.Limits, off int64) { l.DescriptorBytes = 20*sectorBytes + 512*off }, errcode.VMDKDescriptor},
	} {
		for off, want := range map[int64]errcode.Code{0: "", -1: c.want} {
			lim := formats.DefaultLimits()
			c.set(&lim, off)
			_, err := Format{}.Open(bytes.NewReader(b), int64(len(b)), lim)
			if got := errcode.Of(err); got != want {
				t.Errorf("%s: limit %d below what the image has: %q, want %q", c.name, -off, got, want)
			}
		}
	}
}

func TestAliasesOverManyWindows(t *testing.T) {
	good := sparseFile(t)
	for _, c := range []struct {
		name   string
		change func(b []byte)
		want   errcode.Code
	}{
		{"none", func([]byte) {}, ""},
		{"same place", func(b []byte) { setGTE(b, 3, gteOf(b, 40)) }, errcode.AliasedBlocks},
		{"a sector before", func(b []byte) { setGTE(b, 3, gteOf(b, 40)-1) }, errcode.AliasedBlocks},
		{"a sector behind", func(b []byte) { setGTE(b, 40, gteOf(b, 3)+1) }, errcode.AliasedBlocks},
	} {
		b := bytes.Clone(good)
		c.change(b)
		opened, err := Format{}.Open(bytes.NewReader(b), int64(len(b)), formats.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		for window := int64(1); window < 60; window++ {
			err := opened.(*disk).checkAliases(t.Context(), 3<<20+64<<10, window)
			if got := errcode.Of(err); got != c.want {
				t.Errorf("%s, window of %d slots: %q, want %q", c.name, window, got, c.want)
			}
		}
	}
	d, err := Format{}.Open(bytes.NewReader(good), int64(len(good)), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	for slots, want := range map[int64]errcode.Code{maxWindows: "", maxWindows + 1: errcode.ParserLimit} {
		if got := errcode.Of(d.(*disk).checkAliases(t.Context(), (slots-1)*64<<10, 1)); got != want {
			t.Errorf("%d windows: %q, want %q", slots, got, want)
		}
	}
}

func TestHeaderFindings(t *testing.T) {
	b := sparseFile(t)
	b[72] = 1
	text("RW 6144", "RW 6143")(b)
	text(`"monolithicSparse"`, `"streamOptimized"`)(b)
	d, err := Format{}.Open(bytes.NewReader(b), int64(len(b)), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if f := d.Info().Findings; len(f) != 3 || f[0].Severity != formats.SeverityWarning {
		t.Errorf("findings %v, want unclean shutdown, sectors and createType", f)
	}
	if d.Info().Subformat != monolithicSparse {
		t.Errorf("subformat %q, want what the grains are", d.Info().Subformat)
	}
}

func FuzzOpen(f *testing.F) {
	formattest.Seeds(f)
	tiny := imgtest.New(1<<20+512, 1, imgtest.Run{Off: 70000, Len: 300, Kind: imgtest.Text}, imgtest.Run{Off: 1 << 20, Len: 512, Kind: imgtest.Text})
	f.Add(stream(f, tiny, dialect{footer: true, version: 3}))
	f.Add(stream(f, tiny, dialect{version: 3, shortLast: true}))
	f.Add([]byte("# Disk DescriptorFile\nversion=1\ncreateType=\"vmfs\"\nRW 8 VMFS \"x-flat.vmdk\"\n"))
	f.Add(plainSeed())
	f.Fuzz(func(t *testing.T, data []byte) { formattest.Fuzz(t, Format{}, data) })
}

// plainSeed is a monolithicSparse disk of three grains of 4 KiB, of which one
// is stored and one is zeroed.
func plainSeed() []byte {
	le := binary.LittleEndian
	b := make([]byte, 8*sectorBytes, 16*sectorBytes)
	copy(b, streamHeader(3*4096-1024, 2))
	le.PutUint32(b[8:], flagNewlines|flagZeroGrain)
	le.PutUint16(b[77:], 0)
	le.PutUint64(b[20:], 8)
	le.PutUint64(b[56:], 2)
	le.PutUint64(b[64:], 8)
	copy(b[sectorBytes:], "# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicSparse\"\nRW 22 SPARSE \"x.vmdk\"\n")
	le.PutUint32(b[2*sectorBytes:], 3)
	le.PutUint32(b[3*sectorBytes:], 8)
	le.PutUint32(b[3*sectorBytes+4:], 1)
	return append(b, bytes.Repeat([]byte("grain"), 820)[:4096]...)
}

func TestPlainSeedIsGood(t *testing.T) {
	formattest.Refused(t, Format{}, plainSeed(), nil)
}
