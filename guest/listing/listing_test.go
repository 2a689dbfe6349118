package listing

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/guest/tree"
)

func TestOSRelease(t *testing.T) {
	for text, want := range map[string]tree.OSRelease{
		"":                                    {},
		"ID=debian\nVERSION_ID=\"12\"\n":      {ID: "debian", VersionID: "12"},
		"# ID=no\nPRETTY_NAME='A B'\nID=arch": {ID: "arch", PrettyName: "A B"},
		"ID\n=\nVERSION_ID=\"9.3\"\r\n":       {VersionID: "9.3"},
	} {
		if diff := cmp.Diff(want, osRelease([]byte(text))); diff != "" {
			t.Errorf("%q (-want +got)\n%s", text, diff)
		}
	}
}

func TestFstab(t *testing.T) {
	got := fstab([]byte("# /dev/sda1 / ext4\nUUID=1 / ext4\n/dev/sda2 /home ext4 defaults 0 2\n/dev/mapper/vg-root / xfs\n/dev/nvme0n1p1 /x ext4\n/dev/vda\n"))
	if diff := cmp.Diff([]string{"/dev/sda2", "/dev/nvme0n1p1"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestMachine(t *testing.T) {
	head := func(class, data byte, m elf.Machine) []byte {
		p := append([]byte(elf.ELFMAG), class, data)
		p = append(p, make([]byte, 14)...)
		if data == 2 {
			binary.BigEndian.PutUint16(p[18:], uint16(m))
		} else {
			binary.LittleEndian.PutUint16(p[18:], uint16(m))
		}
		return p
	}
	for _, c := range []struct {
		p    []byte
		want string
	}{
		{head(2, 1, elf.EM_X86_64), "x86_64"}, {head(1, 1, elf.EM_386), "i686"}, {head(2, 1, elf.EM_AARCH64), "aarch64"}, {head(1, 1, elf.EM_ARM), "armv7l"},
		{head(2, 1, elf.EM_PPC64), "ppc64le"}, {head(2, 2, elf.EM_PPC64), "ppc64"}, {head(2, 2, elf.EM_S390), "s390x"}, {head(2, 1, elf.EM_RISCV), "riscv64"},
		{head(1, 1, elf.EM_X86_64), ""}, {[]byte("#!/bin/sh"), ""}, {nil, ""}, {head(2, 1, elf.EM_X86_64)[:19], ""},
	} {
		if got := machine(c.p); got != c.want {
			t.Errorf("%x: %q, want %q", c.p, got, c.want)
		}
	}
}

// TestNotAFileSystem demands that what cannot be read is told.
func TestNotAFileSystem(t *testing.T) {
	for _, kind := range []string{"ext4", "FAT12", "FAT16", "FAT32", "ISO 9660", "squashfs", "XFS", ""} {
		if got := List(bytes.NewReader(make([]byte, 1<<20)), tree.Volume{Kind: kind, Len: 1 << 20}); got.NotInspected == "" {
			t.Errorf("%q: %+v", kind, got)
		}
	}
}
