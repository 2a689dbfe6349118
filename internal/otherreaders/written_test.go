package otherreaders

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/formats/transfer"
	"ingest/formats/writers"
	"ingest/internal/boottest"
)

// qemuNames are QEMU's names of the formats that ingest writes and a PC can have
// as its disk, with options of its drivers.
var qemuNames = map[formats.Name][]string{
	formats.Raw: {"raw"}, formats.QCOW2: {"qcow2"}, formats.VMDK: {"vmdk"}, formats.VHDX: {"vhdx"}, formats.VDI: {"vdi"},
	formats.VHD: {"vpc", "force_size_calc=current_size"}, formats.Parallels: {"parallels"},
}

// known are the settings with which some witnesses cannot read what is written,
// and their names. QEMU is the one that boots.
var known = map[string][]string{
	"vhdx logical_sector_size=4096": {"7-Zip", "QEMU"},
}

// TestWrittenImagesAreReadAndBoot has every program read, and a PC boot from,
// what every writer writes with each of its settings and for each preset.
func TestWrittenImagesAreReadAndBoot(t *testing.T) {
	for i, size := range []int64{24<<20 + 3*4096, 30<<20 + 512} {
		disk := boottest.New(size, uint64(i)+50)
		for _, w := range writers.All() {
			for _, given := range settings(w) {
				written(t, disk, fmt.Sprintf("%d/%s%s", size, w.Name, describe(given)), w, given)
			}
		}
		for _, p := range writers.Presets() {
			w, given, err := writers.Resolve(p.Name, nil)
			if err != nil {
				t.Fatal(err)
			}
			written(t, disk, fmt.Sprintf("%d/preset %s", size, p.Name), w, given)
		}
	}
}

// written writes the disk in each way that there is and calls the witnesses. A
// disk in an archive, and one that is passed through, is not theirs.
func written(t *testing.T, disk *boottest.Disk, name string, w writers.Writer, given map[string]string) {
	t.Helper()
	if w.Container != "bare" || w.DiskFormat == formats.ISO {
		return
	}
	made, err := w.Make(given, transfer.Engine{Workers: 2})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	not := known[w.Name+describe(given)]
	if made.Planner != nil {
		t.Run(name+"/plan", func(t *testing.T) { witness(t, disk, w, planned(t, disk, made), not) })
	}
	if made.Encoder != nil {
		t.Run(name+"/encoder", func(t *testing.T) {
			out, _ := formattest.Record(t, made.Encoder, disk, nil)
			witness(t, disk, w, keep(t, out.Bytes), not)
		})
	}
}

// witness has all witnesses look at one image file.
func witness(t *testing.T, disk *boottest.Disk, w writers.Writer, image string, not []string) {
	t.Helper()
	info := formats.Info{Format: w.DiskFormat, VirtualSize: disk.Size()}
	if w.DiskFormat != formats.Raw {
		info = open(t, image).Info()
	}
	if info.Format != w.DiskFormat {
		t.Fatalf("%s is written, %s is read", w.DiskFormat, info.Format)
	}
	t.Logf("read by %v", Check(t, image, info, disk, not...))
	for _, r := range All() {
		if !slices.Contains(not, r.Name) {
			continue
		}
		if out, err := r.TryRead(t, image, info.Format); err == nil && Compare(t, out, info.VirtualSize, disk) == nil {
			t.Errorf("%s reads it after all", r.Name)
		}
	}
	if slices.Contains(not, "QEMU") {
		return
	}
	names, ok := qemuNames[w.DiskFormat]
	if !ok {
		t.Fatalf("no PC boots from %s", w.DiskFormat)
	}
	boottest.Boot(t, image, names[0], names[1:]...)
}

// settings returns the settings that are tried of a writer: its defaults, each
// value of each choice, and the bounds of each size.
func settings(w writers.Writer) []map[string]string {
	out := []map[string]string{{}}
	for _, o := range w.Options {
		values := o.Values
		if o.Kind == writers.Size {
			values = []string{writers.FormatSize(o.Min), writers.FormatSize(o.Max)}
		}
		for _, v := range values {
			if v == o.Default {
				continue
			}
			given := map[string]string{o.Name: v}
			if k, only, ok := strings.Cut(o.Only, "="); ok {
				given[k] = only
			}
			out = append(out, given)
		}
	}
	return out
}

// describe names settings for a test.
func describe(given map[string]string) string {
	var out strings.Builder
	for _, k := range slices.Sorted(maps.Keys(given)) {
		out.WriteString(" " + k + "=" + given[k])
	}
	return out.String()
}

// planned writes the plan of a disk to a file.
func planned(t *testing.T, disk formats.Disk, made writers.Made) string {
	t.Helper()
	p, err := made.Planner.Plan(t.Context(), disk)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(p, 0, p.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return keep(t, b)
}

// keep writes an image to a file.
func keep(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
