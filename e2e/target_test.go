package e2e

import (
	"path/filepath"
	"testing"

	"ingest/internal/contract"
)

// TestImportIntoEveryTarget imports one disk into what is written beyond raw and
// qcow2: the image has the names that Glance gives to it, and the source's
// content.
func TestImportIntoEveryTarget(t *testing.T) {
	t.Parallel()
	raw := disk(t, 31, 24*mib)
	content := contentOf(t, raw)
	s := start(t, []string{"--file-roots", filepath.Dir(raw)})
	for _, c := range []struct {
		target            contract.TargetSpec
		format, container string
	}{
		{contract.TargetSpec{Format: "aws"}, "vmdk", "bare"},
		{contract.TargetSpec{Format: "Azure"}, "vhd", "bare"},
		{contract.TargetSpec{Format: "vhd", Options: map[string]string{"block_size": "512k"}}, "vhd", "bare"},
		{contract.TargetSpec{Format: "hyperv"}, "vhdx", "bare"},
		{contract.TargetSpec{Format: "virtualbox"}, "vdi", "bare"},
		{contract.TargetSpec{Format: "gce", Options: map[string]string{"align": "1M"}}, "raw", "compressed"},
		{contract.TargetSpec{Format: "ova", Options: map[string]string{"firmware": "efi"}}, "vmdk", "ova"},
	} {
		id := s.submit(of(raw, c.target)).TaskID
		img := s.succeeded(id, content)
		if img.DiskFormat != c.format || img.ContainerFormat != c.container {
			t.Errorf("%s: the image is %s in %s, want %s in %s", c.target.Format, img.DiskFormat, img.ContainerFormat, c.format, c.container)
		}
	}
}
