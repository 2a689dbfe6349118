package vhdx

import (
	"bytes"
	"fmt"
	"testing"

	"ingest/formats"
	"ingest/internal/imgtest"
)

// TestRulesOfTargets holds the default's output against what those say that take
// a VHDX. Azure is not among them: it takes fixed VHDs only
// (https://learn.microsoft.com/azure/virtual-machines/windows/prepare-for-upload-vhd-image).
func TestRulesOfTargets(t *testing.T) {
	const (
		// "Fixed and Dynamic Virtual Hard Disk (VHD/VHDX) image formats"
		aws = "https://docs.aws.amazon.com/vm-import/latest/userguide/prerequisites.html"
		// New-VHD: sectors of 512 or 4096 bytes.
		newVHD = "https://learn.microsoft.com/powershell/module/hyper-v/new-vhd"
		// Dynamic VHDX files for Linux: -BlockSizeBytes 1MB.
		linux = "https://learn.microsoft.com/windows-server/virtualization/hyper-v/best-practices-for-running-linux-on-hyper-v"
	)
	disk := imgtest.Random(95, 30<<20+4096, 5<<20)
	image := planned(t, Dynamic{}, disk)
	d, err := Format{}.Open(bytes.NewReader(image), int64(len(image)), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	info := d.Info()
	a := checkRules(t, image, disk)
	for _, rule := range []struct {
		source    string
		got, want any
	}{
		{aws, info.Subformat, "dynamic"},
		{linux, info.BlockSize, int64(1 << 20)},
		{newVHD, a.logical, uint64(512)},
		{newVHD, a.physical, uint64(4096)},
	} {
		if got, want := fmt.Sprint(rule.got), fmt.Sprint(rule.want); got != want {
			t.Errorf("%s, want %s: %s", got, want, rule.source)
		}
	}
	if len(info.Findings) > 0 || info.Unreadable != nil {
		t.Errorf("findings %v, %v", info.Findings, info.Unreadable)
	}
}
