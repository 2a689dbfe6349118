package provenance

import (
	"testing"

	"ingest/internal/errcode"
)

func TestCompare(t *testing.T) {
	in := wholeImport()
	d, err := Open(record(t, in))
	if err != nil {
		t.Fatal(err)
	}
	c, sum := in.Done.Converted, in.Done.Checksummed
	good := Facts{ImageID: "i2", Size: c.Size, VirtualSize: c.VirtualSize, HashAlgo: "sha256", HashValue: sum.HashValue, MD5: sum.Checksum, ContentDigest: c.ContentDigest}
	list, err := d.Compare(good)
	if err != nil || len(list) != 6 {
		t.Errorf("%v of %+v", err, list)
	}
	for name, change := range map[string]func(*Facts){
		"image":          func(f *Facts) { f.ImageID = "other" },
		"sha256":         func(f *Facts) { f.HashValue = "00" },
		"sha512":         func(f *Facts) { f.HashAlgo = "sha512" },
		"":               func(f *Facts) { f.HashAlgo, f.HashValue = "", "" },
		"size":           func(f *Facts) { f.Size++ },
		"virtual size":   func(f *Facts) { f.VirtualSize = -1 },
		"content digest": func(f *Facts) { f.ContentDigest = "" },
		"md5":            func(f *Facts) { f.MD5 = "" },
	} {
		bad := good
		change(&bad)
		_, err := d.Compare(bad)
		wantCode(t, name, err, errcode.ProvenanceMismatch)
		if e, ok := errcode.As(err); ok && e.Evidence.Field != name {
			t.Errorf("the difference in %q is told as one in %q", name, e.Evidence.Field)
		}
	}
	if err := d.CompareBytes("sha256", sum.HashValue); err != nil {
		t.Error(err)
	}
	wantCode(t, "other bytes", d.CompareBytes("sha256", "00"), errcode.ProvenanceMismatch)
	wantCode(t, "another algorithm", d.CompareBytes("sha512", ""), errcode.ProvenanceMismatch)
}
