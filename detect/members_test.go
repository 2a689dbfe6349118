package detect

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// TestMembers detects images together with other files.
func TestMembers(t *testing.T) {
	src := guest(t)
	want := imgtest.OpenFile(t, src)
	descriptor := imgtest.Convert(t, src, "raw", "vmdk", "subformat=monolithicFlat")
	flat := strings.TrimSuffix(descriptor, ".vmdk") + "-flat.vmdk"
	for _, c := range []struct {
		name    string
		path    string
		members []string
		format  formats.Name
		code    errcode.Code
	}{
		{"set", descriptor, []string{flat}, formats.VMDK, ""},
		{"set without its member", descriptor, nil, formats.VMDK, errcode.VMDKDescriptorOnly},
		{"set with another member", descriptor, []string{src}, formats.VMDK, errcode.MemberMissing},
		{"set with one member too many", descriptor, []string{flat, src}, formats.VMDK, errcode.MemberMismatch},
		{"the member first", flat, []string{descriptor}, formats.Raw, errcode.BadRequest},
		{"disk in one file", imgtest.Convert(t, src, "raw", "vmdk"), []string{flat}, formats.VMDK, errcode.MemberMismatch},
		{"differencing disks only", imgtest.Convert(t, src, "raw", "vpc", "force_size=on"), []string{flat}, formats.VHD, errcode.MemberMismatch},
		{"format of one file", imgtest.Convert(t, src, "raw", "qcow2"), []string{flat}, formats.QCOW2, errcode.BadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			opt := options("")
			for _, m := range c.members {
				f := imgtest.OpenFile(t, m)
				opt.Members = append(opt.Members, formats.Member{Name: filepath.Base(m), R: f, Size: f.Size()})
			}
			f := imgtest.OpenFile(t, c.path)
			rep, disk, err := New(readers()).Detect(context.Background(), f, f.Size(), opt)
			checkReport(t, rep, disk, err)
			if errcode.Of(err) != c.code || rep.DiskFormat != c.format {
				t.Fatalf("got %q, %v; want %s, %q", rep.DiskFormat, err, c.format, c.code)
			}
			if err == nil {
				defer disk.Close()
				imgtest.EqualDisk(t, disk, want)
			}
			if last := rep.Findings[max(0, len(rep.Findings)-1):]; c.code == errcode.BadRequest && !strings.Contains(last[0].Remedy, "name first") {
				t.Errorf("remedy %q", last[0].Remedy)
			}
		})
	}
}
