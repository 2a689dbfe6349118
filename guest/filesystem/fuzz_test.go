package filesystem_test

import (
	"strings"
	"testing"

	"ingest/formats/formattest"
	"ingest/guest/filesystem"
)

// FuzzIdentify demands that whatever a superblock says, reading it ends and makes
// sense. The fuzzer's bytes are laid over places where superblocks are: first at off,
// and the rest from there on.
func FuzzIdentify(f *testing.F) {
	formattest.Seeds(f)
	sb := make([]byte, 1024)
	sb[56], sb[57] = 0x53, 0xef
	f.Add(uint32(1024), sb, uint32(mib))
	f.Add(uint32(0), []byte("XFSB\x00\x00\x10\x00\xff\xff\xff\xff\xff\xff\xff\xff"), uint32(mib))
	p := make([]byte, 32<<10)
	ntfs(p)
	f.Add(uint32(0), p, uint32(mib))
	f.Add(uint32(32<<10), []byte("\x01CD001"), uint32(mib))
	f.Add(uint32(0), []byte("\xeb\x76\x90EXFAT   "), uint32(1000))
	f.Add(uint32(0), []byte("\xeb\x3c\x90mkfs.fat\x00\x02\x04\x04\x00\x02\x00\x02\x00\x80\xf8\x20\x00"), uint32(mib))
	f.Add(uint32(0), []byte("LUKS\xba\xbe\x00\x02"), uint32(mib))
	f.Add(uint32(512), []byte("LABELONE\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x20\x00\x00\x00LVM2 001"), uint32(mib))
	f.Add(uint32(4096-10), []byte("SWAPSPACE2"), uint32(mib))
	f.Add(uint32(0), []byte("hsqs\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x01\x00\x11\x00\xc0\x00\x01\x00\x04\x00"), uint32(mib))
	f.Add(uint32(4096), []byte("\xfc\x4e\x2b\xa9\x01\x00\x00\x00"), uint32(mib))
	f.Add(uint32(3), []byte("-FVE-FS-"), uint32(mib))
	f.Add(uint32(128<<10), []byte("\x0c\xb1\xba\x00\x00\x00\x00\x00"), uint32(mib))
	f.Add(uint32(64<<10+64), []byte("_BHRfS_M"), uint32(mib))
	f.Add(uint32(4096+24), []byte("\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"), uint32(mib))
	f.Fuzz(func(t *testing.T, off uint32, bytes []byte, size uint32) {
		disk := make([]byte, mib)
		copy(disk[off%mib:], bytes)
		got, err := filesystem.Identify(strings.NewReader(string(disk)), 0, min(int64(size), mib))
		if err != nil {
			t.Fatal(err)
		}
		if got.Size < 0 || got.BlockSize < 0 || len(got.Findings) > 32 || len(got.Label) > 4096 || len(got.UUID) > 64 {
			t.Fatalf("%+v", got)
		}
		if (got.Kind == "") && (got.Label != "" || got.UUID != "" || got.Size != 0) {
			t.Fatalf("facts of nothing: %+v", got)
		}
	})
}
