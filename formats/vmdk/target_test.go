package vmdk

import (
	"strings"
	"testing"

	"ingest/formats"
	"ingest/formats/blocks"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// TestWrongOptions expects errors that say what is right.
func TestWrongOptions(t *testing.T) {
	disk := imgtest.New(1<<20, 1)
	for _, c := range []struct {
		field, right string
		o            Options
	}{
		{"adapter", "lsilogic, buslogic, ide, legacyESX", Options{Adapter: "pvscsi"}},
		{"adapter", "lsilogic", Options{Adapter: "LSILogic"}},
		{"adapter", "lsilogic", Options{Adapter: "ide\"\nddb.x = \"y"}},
		{"hardware_version", "3 to 22", Options{HardwareVersion: 2}},
		{"hardware_version", "3 to 22", Options{HardwareVersion: 23}},
		{"hardware_version", "3 to 22", Options{HardwareVersion: -1}},
		{"name", "a file name", Options{Name: "folder/disk.vmdk"}},
		{"name", "a file name", Options{Name: `c:\disk.vmdk`}},
		{"name", "a file name", Options{Name: `disk".vmdk`}},
		{"name", "a file name", Options{Name: "disk\nRW 1 FLAT x"}},
		{"name", "a file name", Options{Name: "disk\x00"}},
		{"name", "a file name", Options{Name: "disk\xff"}},
		{"name", "a file name", Options{Name: ".."}},
		{"name", "a file name", Options{Name: " "}},
		{"name", "255", Options{Name: strings.Repeat("x", 256)}},
	} {
		_, plan := blocks.Planner{Target: Sparse{c.o}}.Plan(t.Context(), disk)
		_, encode := Stream{Options: c.o}.Encode(t.Context(), discard{}, disk, formats.Checkpoint{})
		for _, err := range []error{plan, encode} {
			refusedOption(t, err, c.field, c.right)
		}
	}
	for _, level := range []int{-1, 10} {
		_, err := Stream{CompressionLevel: level}.Encode(t.Context(), discard{}, disk, formats.Checkpoint{})
		refusedOption(t, err, "compression_level", "1 to 9")
	}
}

// refusedOption fails the test unless err names the option and what is right.
func refusedOption(t *testing.T, err error, field, right string) {
	t.Helper()
	e, ok := errcode.As(err)
	if !ok || e.Code != errcode.TargetOption || e.Evidence == nil || e.Evidence.Structure != "option" ||
		e.Evidence.Field != field || e.Evidence.Value == "" && field != "name" || !strings.Contains(e.Evidence.Limit, right) {
		t.Errorf("%s: %v, want an error that names %s", field, err, right)
	}
}

// TestCodecsTellOptionsApart expects one codec for the default and what it means,
// and different ones for all that changes the bytes.
func TestCodecsTellOptionsApart(t *testing.T) {
	explicit := Options{Adapter: AdapterLSILogic, HardwareVersion: DefaultHardwareVersion}
	if a, b := (Sparse{}).Codec(), (Sparse{explicit}).Codec(); a != b {
		t.Errorf("%s is not %s", a, b)
	}
	if a, b := (Stream{}).Codec(), (Stream{Options: explicit, CompressionLevel: DefaultCompressionLevel}).Codec(); a != b {
		t.Errorf("%s is not %s", a, b)
	}
	seen := map[string]bool{}
	for _, codec := range []string{
		Sparse{}.Codec(), Stream{}.Codec(), Stream{CompressionLevel: 1}.Codec(),
		Sparse{Options{Adapter: AdapterIDE}}.Codec(), Stream{Options: Options{Adapter: AdapterIDE}}.Codec(),
		Sparse{Options{HardwareVersion: 9}}.Codec(), Stream{Options: Options{HardwareVersion: 9}}.Codec(),
		Sparse{Options{Name: "a"}}.Codec(), Stream{Options: Options{Name: "a"}}.Codec(),
	} {
		if seen[codec] {
			t.Errorf("%s stands for two settings", codec)
		}
		seen[codec] = true
	}
}

// TestContentIDsAvoidTheirSpecialValues derives them from ids that begin with
// these.
func TestContentIDsAvoidTheirSpecialValues(t *testing.T) {
	for first, plain := range map[[4]byte]bool{
		{0, 0, 0, 0}: false, {0xff, 0xff, 0xff, 0xfe}: false, {0xff, 0xff, 0xff, 0xff}: false,
		{0, 0, 0, 1}: true, {0xff, 0xff, 0xff, 0xfd}: true,
	} {
		var id formats.ID
		copy(id[:], first[:])
		want := uint32(first[0])<<24 | uint32(first[1])<<16 | uint32(first[2])<<8 | uint32(first[3])
		if got := contentID(id); (got == want) != plain || got == 0 || got >= 0xfffffffe {
			t.Errorf("% x becomes %08x", first, got)
		}
	}
}

// TestLongestDescriptorFits uses up all room that options can take.
func TestLongestDescriptorFits(t *testing.T) {
	o := Options{Adapter: AdapterLegacyESX, HardwareVersion: MaxHardwareVersion, Name: strings.Repeat("x", maxNameBytes)}
	text := descriptorText(o, monolithicSparse, "RDONLY", maxStreamBytes, formats.ID{})
	if len(text) >= descriptorSectors*sectorBytes {
		t.Errorf("the descriptor has %d bytes", len(text))
	}
}
