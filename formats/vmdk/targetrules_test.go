package vmdk

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"ingest/formats/formattest"
	"ingest/internal/imgtest"
)

// The tests of this file and of streamrules_test.go hold written files against
// VMware's technical note "Virtual Disk Format 5.0" byte by byte, with nothing of
// this package's readers. Sections of the note are named in parentheses.

// A rawHeader is struct SparseExtentHeader ("Hosted Sparse Extent Header").
type rawHeader struct {
	MagicNumber        uint32
	Version            uint32
	Flags              uint32
	Capacity           uint64
	GrainSize          uint64
	DescriptorOffset   uint64
	DescriptorSize     uint64
	NumGTEsPerGT       uint32
	RgdOffset          uint64
	GdOffset           uint64
	OverHead           uint64
	UncleanShutdown    uint8
	SingleEndLineChar  uint8
	NonEndLineChar     uint8
	DoubleEndLineChar1 uint8
	DoubleEndLineChar2 uint8
	CompressAlgorithm  uint16
	Pad                [433]byte
}

// readHeader reads the header at the begin of b and holds against the note what
// both subformats share.
func readHeader(t *testing.T, b []byte, virtualSize int64) rawHeader {
	t.Helper()
	var h rawHeader
	n, err := binary.Decode(b, binary.LittleEndian, &h)
	if err != nil || n != 512 {
		t.Fatalf("header of %d bytes: %v", n, err)
	}
	want := h
	want.MagicNumber, want.Capacity, want.GrainSize, want.NumGTEsPerGT = 0x564d444b, uint64(virtualSize+511)/512, 128, 512
	want.DescriptorOffset, want.DescriptorSize, want.UncleanShutdown = 1, 20, 0
	want.SingleEndLineChar, want.NonEndLineChar, want.DoubleEndLineChar1, want.DoubleEndLineChar2 = '\n', ' ', '\r', '\n'
	want.Pad = [433]byte{}
	if h != want {
		t.Errorf("header %+v, want %+v", h, want)
	}
	if h.OverHead%h.GrainSize != 0 || h.OverHead < h.DescriptorOffset+h.DescriptorSize {
		t.Errorf("overHead of %d sectors", h.OverHead)
	}
	return h
}

// A rule of safety that OpenStack's services apply to each line of an uploaded
// descriptor (oslo.utils, imageutils format_inspector).
var osloLine = regexp.MustCompile(`^(#.*|ddb\.[A-Za-z]+(\.[A-Za-z]+)? = "[^"]*"|[A-Za-z]+=.*|(RW|RDONLY|NOACCESS) [0-9]+ SPARSE "[^/"]+")?$`)

// readText reads the embedded descriptor ("The Descriptor File"): its assignments
// without quotation marks, and its extent lines under the key "extent".
func readText(t *testing.T, b []byte) map[string]string {
	t.Helper()
	text, zeros, _ := strings.Cut(string(b[512:21*512]), "\x00")
	if strings.Trim(zeros, "\x00") != "" {
		t.Error("there is something behind the descriptor's end")
	}
	if !strings.HasPrefix(text, "# Disk DescriptorFile\nversion=1\n") || !strings.HasSuffix(text, "\n") {
		t.Errorf("descriptor:\n%s", text)
	}
	out := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if !osloLine.MatchString(line) {
			t.Errorf("line %q", line)
		}
		key, value, ok := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
			continue
		case strings.Contains(line, " SPARSE "):
			key, value = "extent", line
		case !ok:
			t.Fatalf("line %q", line)
		}
		key = strings.TrimSpace(key)
		if _, twice := out[key]; twice {
			t.Errorf("%s stands twice", key)
		}
		out[key] = strings.Trim(value, ` "`)
	}
	return out
}

// checkText holds a descriptor against the note and its options.
func checkText(t *testing.T, text map[string]string, createType, extent string, o Options) {
	t.Helper()
	for key, want := range map[string]string{
		"version": "1", "encoding": "UTF-8", "parentCID": "ffffffff", "createType": createType,
		"extent": strings.Trim(extent, `"`), "ddb.adapterType": o.Adapter, "ddb.virtualHWVersion": fmt.Sprint(o.HardwareVersion),
	} {
		if text[key] != want {
			t.Errorf("%s is %q, want %q", key, text[key], want)
		}
	}
	cid, long := text["CID"], text["ddb.longContentID"]
	if !regexp.MustCompile("^[0-9a-f]{8}$").MatchString(cid) || cid >= "fffffffe" || cid == "00000000" {
		t.Errorf("CID is %q", cid)
	}
	if !regexp.MustCompile("^[0-9a-f]{32}$").MatchString(long) || !strings.HasSuffix(long, cid) {
		t.Errorf("longContentID %q does not end with CID %q", long, cid)
	}
	const keys = 12 // those above and three of the geometry
	if len(text) != keys {
		t.Errorf("the descriptor has %d keys: %v", len(text), text)
	}
}

// ruleDisks are held against the rules in both subformats.
func ruleDisks() []imgtest.Case {
	const mib = 1 << 20
	return []imgtest.Case{
		{Name: "empty", Disk: imgtest.New(100*mib, 1)},
		{Name: "one byte", Disk: imgtest.New(1, 2, imgtest.Run{Off: 0, Len: 1, Kind: imgtest.Noise})},
		{Name: "noise", Disk: imgtest.New(40*mib, 3, imgtest.Run{Off: 0, Len: 40 * mib, Kind: imgtest.Noise})},
		{Name: "ends within a grain", Disk: imgtest.New(33*mib+700, 4, imgtest.Run{Off: 31 * mib, Len: 2*mib + 700, Kind: imgtest.Text})},
		{Name: "random", Disk: imgtest.Random(5, 300*mib+512, 30*mib)},
		{Name: "tables far apart", Disk: imgtest.New(1200*mib, 6, imgtest.Run{Off: 5, Len: 9, Kind: imgtest.Text}, imgtest.Run{Off: 1100 * mib, Len: 70000, Kind: imgtest.Noise})},
	}
}

// guestGrain returns a grain of the disk, filled up with zeros.
func guestGrain(t *testing.T, disk *imgtest.Disk, grain int64) []byte {
	t.Helper()
	p := make([]byte, 65536)
	imgtest.ReadFull(t, disk, p[:min(65536, disk.Size()-grain*65536)], grain*65536)
	return p
}

// TestSparseKeepsTheRules walks both grain directories as a reader would
// ("Hosted Sparse Extents").
func TestSparseKeepsTheRules(t *testing.T) {
	for _, c := range ruleDisks() {
		t.Run(c.Name, func(t *testing.T) {
			o := Options{Adapter: AdapterBusLogic, HardwareVersion: 7, Name: "my disk.vmdk"}
			b := planned(t, Sparse{o}, c.Disk)
			h := readHeader(t, b, c.Disk.Size())
			if h.Version != 1 || h.Flags != 3 || h.CompressAlgorithm != 0 || h.RgdOffset != 21 || h.GdOffset <= h.RgdOffset {
				t.Errorf("header %+v", h)
			}
			checkText(t, readText(t, b), "monolithicSparse", fmt.Sprintf(`RW %d SPARSE "my disk.vmdk"`, h.Capacity), o)
			first := walkSparse(t, b, h, h.GdOffset, c.Disk)
			second := walkSparse(t, b, h, h.RgdOffset, c.Disk)
			if first != second {
				t.Error("the redundant grain tables name other grains")
			}
		})
	}
}

// walkSparse checks the directory at a sector, its tables and all grains, and
// returns the grains' sectors as text.
func walkSparse(t *testing.T, b []byte, h rawHeader, gd uint64, disk *imgtest.Disk) string {
	t.Helper()
	word := func(sector, i uint64) uint64 { return uint64(binary.LittleEndian.Uint32(b[sector*512+i*4:])) }
	grains := (h.Capacity + 127) / 128
	tables := (grains + 511) / 512
	var named strings.Builder
	next := h.OverHead
	for i := range tables {
		table := word(gd, i)
		if want := gd + (tables*4+511)/512 + 4*i; table != want || table+4 > h.OverHead {
			t.Fatalf("grain table %d is at sector %d, want %d", i, table, want)
		}
		for j := range uint64(512) {
			at, grain := word(table, j), i*512+j
			if grain >= grains {
				if at != 0 {
					t.Errorf("entry behind the disk's end: %d", at)
				}
				continue
			}
			want := guestGrain(t, disk, int64(grain))
			if at == 0 {
				if strings.Trim(string(want), "\x00") != "" {
					t.Fatalf("grain %d with data is not stored", grain)
				}
				continue
			}
			if at != next || string(b[at*512:][:65536]) != string(want) {
				t.Fatalf("grain %d is at sector %d, want %d, or has other bytes", grain, at, next)
			}
			next += 128
			fmt.Fprintf(&named, "%d:%d ", grain, at)
		}
	}
	if next*512 != uint64(len(b)) {
		t.Errorf("the grains end at sector %d, the file has %d bytes", next, len(b))
	}
	return named.String()
}

// TestGeometry compares with what VMware's programs wrote for such disks, and
// with BusLogic's rule for small ones (VMware GSX Server, Virtual Machine Guide,
// "SCSI disk geometry"): 64 heads up to 1 GiB, 128 up to 2 GiB, and 255 of 63
// sectors above.
func TestGeometry(t *testing.T) {
	for _, c := range []struct {
		adapter string
		sectors int64
		want    geometry
	}{
		{AdapterIDE, 14336000, geometry{14222, 16, 63}},
		{AdapterIDE, 18432000, geometry{16383, 16, 63}},
		{AdapterIDE, 1, geometry{1, 16, 63}},
		{AdapterLSILogic, 1048576000, geometry{65270, 255, 63}},
		{AdapterLSILogic, 10485760, geometry{652, 255, 63}},
		{AdapterLSILogic, 2097152, geometry{512, 128, 32}},
		{AdapterBusLogic, 2097151, geometry{1023, 64, 32}},
		{AdapterLegacyESX, 4194303, geometry{1023, 128, 32}},
		{AdapterLegacyESX, 4194304, geometry{261, 255, 63}},
		{AdapterLSILogic, 1 << 36, geometry{65535, 255, 63}},
		{AdapterLSILogic, 1, geometry{1, 64, 32}},
	} {
		if got := geometryOf(c.adapter, c.sectors*512); got != c.want {
			t.Errorf("%s, %d sectors: %+v, want %+v", c.adapter, c.sectors, got, c.want)
		}
	}
}

// TestContentIDsTellDisksApart writes disks that differ at one end, and one disk
// twice.
func TestContentIDsTellDisksApart(t *testing.T) {
	const mib = 1 << 20
	seen := map[string]string{}
	for name, disk := range map[string]*imgtest.Disk{
		"a":          imgtest.New(9*mib, 1, imgtest.Run{Off: 0, Len: 10, Kind: imgtest.Noise}),
		"other head": imgtest.New(9*mib, 2, imgtest.Run{Off: 0, Len: 10, Kind: imgtest.Noise}),
		"other tail": imgtest.New(9*mib, 1, imgtest.Run{Off: 0, Len: 10, Kind: imgtest.Noise}, imgtest.Run{Off: 9*mib - 1, Len: 1, Kind: imgtest.Noise}),
		"longer":     imgtest.New(9*mib+512, 1, imgtest.Run{Off: 0, Len: 10, Kind: imgtest.Noise}),
	} {
		r, _ := formattest.Record(t, Stream{}, disk, nil)
		for sub, b := range map[string][]byte{"sparse": planned(t, Sparse{}, disk), "stream": r.Bytes} {
			text := readText(t, b)
			for _, key := range []string{"CID", "ddb.longContentID"} {
				id := key + text[key]
				if other, twice := seen[id]; twice {
					t.Errorf("%s: %s has the %s of %s", name, sub, id, other)
				}
				seen[id] = name + " " + sub
			}
		}
	}
}
