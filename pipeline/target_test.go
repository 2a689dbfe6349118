package pipeline_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"ingest/detect"
	"ingest/formats"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/pipeline"
)

func TestTargetOfASource(t *testing.T) {
	p := &pipeline.Pipeline{OutputFormat: "qcow2", OutputCompression: "zstd"}
	for _, c := range []struct {
		source      formats.Name
		want        string // what is asked for
		compression string
		target      string
		packed      string
		code        errcode.Code
	}{
		{"vmdk", "", "", "qcow2", "zstd", ""},
		{"vmdk", "RAW", "", "raw", "none", ""},
		{"vmdk", "vmdk", "", "vmdk", "none", ""},
		{"raw", "Azure", "", "vhd", "none", ""},
		{"vhd", "openstack", "zlib", "qcow2", "zlib", ""},
		{"vmdk", "vmdq", "", "", "", errcode.TargetFormat},
		{"vmdk", "iso", "", "", "", errcode.TargetFormat},
		{"raw", "", "", "raw", "none", ""},
		{"raw", "ami", "", "", "", errcode.TargetFormat},
		{"raw", "", "zstd", "", "", errcode.TargetOption},
		{"iso", "", "", "iso", "none", ""},
		{"iso", "iso", "", "iso", "none", ""},
		{"iso", "raw", "", "raw", "none", ""},
		{"iso", "qcow2", "zlib", "qcow2", "zlib", ""},
		{"iso", "ami", "", "", "", errcode.TargetFormat},
		{detect.AMI, "", "", "ami", "none", ""},
		{detect.AMI, "ami", "", "ami", "none", ""},
		{detect.AMI, "raw", "", "raw", "none", ""},
		{detect.AMI, "qcow2", "", "qcow2", "none", ""},
		{detect.AMI, "iso", "", "", "", errcode.TargetFormat},
		{detect.AMI, "aki", "", "", "", errcode.TargetFormat},
		{detect.AMI, "", "zlib", "", "", errcode.TargetOption},
		{detect.AKI, "", "", "aki", "none", ""},
		{detect.AKI, "AKI", "", "aki", "none", ""},
		{detect.AKI, "raw", "", "", "", errcode.TargetFormat},
		{detect.AKI, "qcow2", "", "", "", errcode.TargetFormat},
		{detect.ARI, "", "", "ari", "none", ""},
		{detect.ARI, "raw", "", "", "", errcode.TargetFormat},
		{detect.ARI, "qcow2", "", "", "", errcode.TargetFormat},
	} {
		t.Run(string(c.source)+" to "+c.want+" "+c.compression, func(t *testing.T) {
			got, err := p.Target(c.source, contract.TargetSpec{Format: c.want, Compression: c.compression})
			if errcode.Of(err) != c.code {
				t.Fatalf("%v, want %q", err, c.code)
			}
			if err != nil {
				requireAdvice(t, err)
				return
			}
			if got.Format != c.target || got.Compression != c.packed {
				t.Errorf("%s %s, want %s %s", got.Format, got.Compression, c.target, c.packed)
			}
		})
	}
}

// TestPartsOfAMachineKeepTheirBytes imports a root file system, a kernel and a
// packed ramdisk under their own names.
func TestPartsOfAMachineKeepTheirBytes(t *testing.T) {
	kernel := bytes.Repeat([]byte{0x90}, 300_001)
	copy(kernel[0x202:], "HdrS")
	var ramdisk bytes.Buffer
	z := gzip.NewWriter(&ramdisk)
	z.Write(bytes.Repeat([]byte("070701"), 99_999))
	z.Close()
	dir := t.TempDir()
	for name, b := range map[string][]byte{"kernel": kernel, "ramdisk": ramdisk.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ format, path string }{
		{"ami", imgtest.WriteRaw(t, mixed())},
		{"aki", filepath.Join(dir, "kernel")},
		{"ari", filepath.Join(dir, "ramdisk")},
	} {
		t.Run(c.format, func(t *testing.T) {
			p, _ := newPipeline(t, filepath.Dir(c.path))
			j := newJob(c.path, contract.TargetSpec{})
			j.source.Format = c.format
			if err := j.run(t, p); err != nil {
				t.Fatal(err)
			}
			if j.detected.Format != c.format || j.target.Format != c.format {
				t.Errorf("detected as %s, stored as %s, want %s", j.detected.Format, j.target.Format, c.format)
			}
			want := imgtest.OpenFile(t, c.path)
			got := imgtest.OpenFile(t, objectFile(t, p, j, "."+c.format))
			if got.Size() != want.Size() {
				t.Fatalf("%d bytes are stored, want %d", got.Size(), want.Size())
			}
			imgtest.Equal(t, got, want, want.Size())
		})
	}
	t.Run("ami to qcow2", func(t *testing.T) {
		disk := imgtest.WriteRaw(t, mixed())
		p, _ := newPipeline(t, filepath.Dir(disk))
		j := newJob(disk, contract.TargetSpec{Format: "qcow2"})
		j.source.Format = "ami"
		if err := j.run(t, p); err != nil {
			t.Fatal(err)
		}
		imgtest.QemuImg(t, "compare", "-q", "-f", "raw", "-F", "qcow2", disk, objectFile(t, p, j, ".qcow2"))
	})
}

// TestTooLargeForTheTarget refuses a disk before anything is written of it.
func TestTooLargeForTheTarget(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(2041 << 30); err != nil {
		t.Fatal(err)
	}
	for format, code := range map[string]errcode.Code{"vhd": errcode.VirtualSizeTooLarge, "vmdk": "", "vhdx": ""} {
		p, store := newPipeline(t, filepath.Dir(path))
		j := newJob(path, contract.TargetSpec{Format: format})
		ctx := t.Context()
		if j.fetched, err = p.Fetch(ctx, contract.FetchParams{TaskID: j.task, Source: j.source}, nil); err != nil {
			t.Fatal(err)
		}
		if j.detected, _, err = p.Detect(ctx, contract.DetectParams{TaskID: j.task, Fetched: j.fetched}); err != nil {
			t.Fatal(err)
		}
		_, _, err := p.Validate(ctx, contract.ValidateParams{TaskID: j.task, Fetched: j.fetched, Detected: j.detected, Target: j.target})
		if errcode.Of(err) != code {
			t.Errorf("%s into %s: %v, want %q", store.Name(), format, err, code)
		}
	}
}
