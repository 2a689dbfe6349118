package otherreaders

import (
	"os"
	"slices"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/formats/readers"
	"ingest/internal/imgtest"
)

// qemuImages are what qemu-img makes of a raw disk, and the programs that do not
// read it.
var qemuImages = []struct {
	name, format string
	options      []string
	not          []string
}{
	{"qcow2 v3", "qcow2", nil, nil},
	{"qcow2 v2", "qcow2", []string{"compat=0.10"}, nil},
	{"qcow2 zlib", "qcow2", []string{"-c"}, nil},
	{"qcow2 zstd", "qcow2", []string{"-c", "compression_type=zstd"}, []string{"7-Zip", "libyal"}},
	{"qcow2 with subclusters", "qcow2", []string{"extended_l2=on"}, []string{"7-Zip", "libyal"}},
	{"qcow2 clusters of 512", "qcow2", []string{"cluster_size=512"}, nil},
	{"qcow2 clusters of 2M", "qcow2", []string{"cluster_size=2M"}, nil},
	{"vmdk monolithicSparse", "vmdk", nil, nil},
	// 7-Zip wants the footer that VMware's files have.
	{"vmdk streamOptimized", "vmdk", []string{"subformat=streamOptimized"}, []string{"7-Zip"}},
	{"vhd dynamic", "vpc", []string{"force_size=on"}, nil},
	{"vhd fixed", "vpc", []string{"subformat=fixed,force_size=on"}, nil},
	{"vhd larger than asked for", "vpc", nil, nil},
	{"vhdx dynamic", "vhdx", nil, nil},
	{"vhdx fixed", "vhdx", []string{"subformat=fixed"}, nil},
	{"vdi dynamic", "vdi", nil, []string{"libyal"}},
	{"vdi fixed", "vdi", []string{"static=on"}, []string{"libyal"}},
	{"parallels", "parallels", nil, []string{"7-Zip", "libyal"}},
}

// TestOtherReadersReadQemusImages shows that the programs are fit to be
// witnesses, and that what they are said not to read is true.
func TestOtherReadersReadQemusImages(t *testing.T) {
	disk := imgtest.Random(5, 40<<20+7*4096, 12<<20)
	raw := imgtest.WriteRaw(t, disk)
	for _, c := range qemuImages {
		image := imgtest.Convert(t, raw, "raw", c.format, c.options...)
		info := open(t, image).Info()
		for _, r := range All() {
			t.Run(c.name+"/"+r.Name, func(t *testing.T) {
				if slices.Contains(c.not, r.Name) {
					if r.Refuses(info) == "" {
						if out, err := r.TryRead(t, image, info.Format); err == nil && Compare(t, out, info.VirtualSize, disk) == nil {
							t.Errorf("%s reads it after all", r.Name)
						}
					}
					return
				}
				if why := r.Refuses(info); why != "" {
					t.Fatalf("said not to be read: %s", why)
				}
				if err := Compare(t, r.Read(t, image, info.Format), info.VirtualSize, disk); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestLimitsAreTrue has each program read what its limits name.
func TestLimitsAreTrue(t *testing.T) {
	for _, c := range []struct {
		reader, format string
		size           int64
		options        []string
	}{
		{"7-Zip", "qcow2", 4 << 20, []string{"-c", "compression_type=zstd"}},
		{"libyal", "qcow2", 4 << 20, []string{"-c", "compression_type=zstd"}},
		{"7-Zip", "vhdx", 4<<20 + 512, nil},
	} {
		t.Run(c.reader+"/"+c.format, func(t *testing.T) {
			disk := imgtest.Random(6, c.size, 3<<20)
			image := imgtest.Convert(t, imgtest.WriteRaw(t, disk), "raw", c.format, c.options...)
			info := open(t, image).Info()
			for _, r := range All() {
				if r.Name != c.reader {
					continue
				}
				if r.Refuses(info) == "" {
					t.Errorf("no limit names it: %+v", info)
				}
				if out, err := r.TryRead(t, image, info.Format); err == nil && Compare(t, out, info.VirtualSize, disk) == nil {
					t.Errorf("%s reads it after all", r.Name)
				}
			}
		})
	}
}

// TestDifferencesAreSeen holds images against another disk.
func TestDifferencesAreSeen(t *testing.T) {
	disk := imgtest.New(8<<20, 1, imgtest.Run{Off: 5 << 20, Len: 1 << 20, Kind: imgtest.Noise})
	image := imgtest.Convert(t, imgtest.WriteRaw(t, disk), "raw", "qcow2")
	for name, want := range map[string]*imgtest.Disk{
		"another seed": imgtest.New(8<<20, 2, imgtest.Run{Off: 5 << 20, Len: 1 << 20, Kind: imgtest.Noise}),
		"no data":      imgtest.New(8<<20, 1),
		"more data":    imgtest.New(8<<20, 1, imgtest.Run{Off: 5 << 20, Len: 1<<20 + 1, Kind: imgtest.Noise}),
		"larger":       imgtest.New(8<<20+512, 1, imgtest.Run{Off: 5 << 20, Len: 1 << 20, Kind: imgtest.Noise}),
		"cut":          imgtest.New(6<<20-1, 1, imgtest.Run{Off: 5 << 20, Len: 1<<20 - 1, Kind: imgtest.Noise}),
	} {
		for _, r := range All() {
			if err := Compare(t, r.Read(t, image, formats.QCOW2), disk.Size(), want); err == nil {
				t.Errorf("%s: %s sees no difference", name, r.Name)
			}
		}
	}
}

// TestVersions logs which programs the witnesses are.
func TestVersions(t *testing.T) {
	for _, r := range All() {
		t.Run(r.Name, func(t *testing.T) {
			v := r.Version(t)
			if !strings.Contains(v, "20") {
				t.Errorf("no version in %q", v)
			}
			line, _, _ := strings.Cut(v, "\n\n")
			t.Logf("%s: %s", r.Name, line)
		})
	}
}

// open opens an image file with ingest's own reader.
func open(t *testing.T, path string) formats.Disk {
	t.Helper()
	f := imgtest.OpenFile(t, path)
	head, tail := make([]byte, min(f.Size(), formats.HeadLen)), make([]byte, min(f.Size(), formats.TailLen))
	imgtest.ReadFull(t, f, head, 0)
	imgtest.ReadFull(t, f, tail, f.Size()-int64(len(tail)))
	for _, format := range readers.All() {
		if !format.Match(head, tail, f.Size()).OK {
			continue
		}
		d, err := format.Open(f, f.Size(), formats.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
	st, _ := os.Stat(path)
	t.Fatalf("nobody reads %v", st)
	return nil
}
