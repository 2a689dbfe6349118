package writers

import (
	"encoding/json"
	"strings"
	"testing"

	"ingest/formats/transfer"
	"ingest/internal/errcode"
)

func TestNamesAreTakenOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range Known() {
		if seen[n] || n != strings.ToLower(n) {
			t.Errorf("%q is there twice or has capitals", n)
		}
		seen[n] = true
	}
	ext := map[string]string{}
	for _, w := range All() {
		if len(w.Extensions) == 0 || w.Help == "" || w.DiskFormat == "" || w.Container == "" {
			t.Errorf("%s has no extension, help, disk format or container", w.Name)
		}
		for _, e := range w.Extensions {
			if other, taken := ext[e]; taken {
				t.Errorf("%s means %s and %s", e, other, w.Name)
			}
			ext[e] = w.Name
			if got, ok := ByExtension("Disk" + strings.ToUpper(e)); !ok || got.Name != w.Name {
				t.Errorf("%s means %q", e, got.Name)
			}
		}
	}
	if _, ok := ByExtension("disk.txt"); ok {
		t.Error(".txt means a format")
	}
}

// TestDefaultsAreNormal holds every default against its own option, and every
// writer against its defaults.
func TestDefaultsAreNormal(t *testing.T) {
	for _, w := range All() {
		for _, o := range w.Options {
			if o.Default == "" {
				continue
			}
			if got, err := o.normal(o.Default); err != nil || got != o.Default {
				t.Errorf("%s %s: the default %q becomes %q, %v", w.Name, o.Name, o.Default, got, err)
			}
			if o.Help == "" {
				t.Errorf("%s %s has no help", w.Name, o.Name)
			}
		}
		m, err := w.Make(nil, transfer.Engine{})
		if err != nil || m.Open == nil || m.Codec == "" || m.Planner == nil && m.Encoder == nil {
			t.Errorf("%s: %+v, %v", w.Name, m, err)
		}
	}
}

func TestPresetsResolve(t *testing.T) {
	for _, p := range Presets() {
		w, o, err := Resolve(strings.ToUpper(p.Name), nil)
		if err != nil || w.Name != p.Format {
			t.Errorf("%s: %s, %v", p.Name, w.Name, err)
		}
		for k, v := range p.Options {
			if o[k] != v {
				t.Errorf("%s: option %s is %q, the preset says %q", p.Name, k, o[k], v)
			}
		}
		if p.Why == "" || !strings.HasPrefix(p.Source, "https://") {
			t.Errorf("%s: says neither why nor where", p.Name)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	for _, c := range []struct {
		name, option, value string
		code                errcode.Code
		names               string // stands in the message or the limit
	}{
		{"qcow3", "", "", errcode.TargetFormat, "qcow2"},
		{"", "", "", errcode.TargetFormat, "openstack"},
		{"raw", "compression", "zlib", errcode.TargetOption, "no options"},
		{"qcow2", "cluster-size", "64K", errcode.TargetOption, "cluster_size"},
		{"qcow2", "cluster_size", "96K", errcode.TargetOption, "power of two"},
		{"qcow2", "cluster_size", "256", errcode.TargetOption, "512 to 2M"},
		{"qcow2", "cluster_size", "4M", errcode.TargetOption, "512 to 2M"},
		{"qcow2", "cluster_size", "99999999999999999999G", errcode.TargetOption, "2M"},
		{"qcow2", "cluster_size", "-64K", errcode.TargetOption, "2M"},
		{"qcow2", "compression", "lz4", errcode.TargetOption, "zstd"},
		{"openstack", "compression", "", errcode.TargetOption, "zstd"},
		{"vhd", "align", "1M", errcode.TargetOption, "subformat=fixed"},
		{"azure", "block_size", "2M", errcode.TargetOption, "subformat=dynamic"},
		{"vhd", "uuid", "00000000-0000-0000-0000-000000000000", errcode.TargetOption, "not all zeros"},
		{"ova", "memory_mib", "1023", errcode.TargetOption, "a multiple of 4"},
		{"ova", "name", "../x", errcode.TargetOption, "letters"},
	} {
		_, _, err := Resolve(c.name, map[string]string{c.option: c.value})
		if c.option == "" {
			_, _, err = Resolve(c.name, nil)
		}
		e, ok := errcode.As(err)
		if !ok || e.Code != c.code {
			t.Errorf("%s %s=%s: %v, want %s", c.name, c.option, c.value, err, c.code)
			continue
		}
		if raw, _ := json.Marshal(e.Evidence); !strings.Contains(e.Message+string(raw), c.names) {
			t.Errorf("%s %s=%s: %v (%s) does not name %q", c.name, c.option, c.value, err, raw, c.names)
		}
	}
}

// TestResolveRefusesOptionsTogether finds what only two options do wrong.
func TestResolveRefusesOptionsTogether(t *testing.T) {
	_, _, err := Resolve("ova", map[string]string{"firmware": "efi", "hardware_version": "7"})
	if errcode.Of(err) != errcode.TargetOption {
		t.Errorf("EFI on hardware of 2009: %v", err)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"512": 512, "64K": 65536, "64k": 65536, "64KiB": 65536, "64kb": 65536, " 2M ": 2 << 20, "1G": 1 << 30} {
		if n, ok := ParseSize(text); !ok || n != want {
			t.Errorf("%q is %d, %v; want %d", text, n, ok, want)
		}
	}
	for _, text := range []string{"", "K", "64Q", "0x10", "1.5M", "-1", "9999999999G"} {
		if n, ok := ParseSize(text); ok {
			t.Errorf("%q is %d", text, n)
		}
	}
	for n, want := range map[int64]string{512: "512", 65536: "64K", 1 << 20: "1M", 3 << 20: "3M", 1 << 30: "1G", 1000: "1000"} {
		if got := FormatSize(n); got != want {
			t.Errorf("%d is written %q, want %q", n, got, want)
		}
	}
}
