package pipeline_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/pipeline"
	"ingest/stores"
	"ingest/stores/fs"
)

// TestSeveralDisksIntoAnOVA converts two disks into one file, and lets tar and
// qemu-img take it apart.
func TestSeveralDisksIntoAnOVA(t *testing.T) {
	boot, data := imgtest.WriteRaw(t, mixed()), imgtest.WriteRaw(t, imgtest.Random(9, 21<<20, 6<<20))
	packed := imgtest.Convert(t, data, "raw", "qcow2", "-c")
	dst := filepath.Join(t.TempDir(), "machine.ova")
	p, _ := newPipeline(t, "/")
	to := func(format string) (pipeline.Conversion, error) {
		return p.ConvertTo(t.Context(), pipeline.ConvertRequest{
			URLs: []string{boot, packed}, Target: contract.TargetSpec{Format: format, Options: map[string]string{}}, Verify: true,
			Begin: func() (stores.Upload, error) { return fs.BeginFile(dst, false) },
		}, func(string) {}, nil)
	}
	if _, err := to("vmdk"); errcode.Of(err) != errcode.TargetFormat {
		t.Errorf("two disks into a VMDK: %v", err)
	}
	out, err := to("ova")
	if err != nil {
		t.Fatal(err)
	}
	if !out.Verified || len(out.Further) != 1 || out.Further[0].Source.DiskFormat != "qcow2" || out.Further[0].ContentDigest == out.ContentDigest {
		t.Errorf("%+v", out)
	}
	dir := t.TempDir()
	if b, err := exec.Command("tar", "-xf", dst, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, b)
	}
	for name, want := range map[string]string{"machine-disk1.vmdk": boot, "machine-disk2.vmdk": data} {
		imgtest.QemuImg(t, "compare", "-q", "-f", "raw", "-F", "vmdk", want, filepath.Join(dir, name))
	}
	if b, err := exec.Command("sh", "-c", "cd "+dir+" && sed 's/^SHA256(\\(.*\\))= \\(.*\\)$/\\2  \\1/' machine.mf | sha256sum -c -").CombinedOutput(); err != nil {
		t.Errorf("the manifest: %v\n%s", err, b)
	}
}
