package detect

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/formats/raw"
	"ingest/internal/errcode"
)

// counting fails the test when a file is read outside what detection may see.
type counting struct {
	t    *testing.T
	r    *bytes.Reader
	read int64
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	c.read += int64(len(p))
	if off < 0 || off+int64(len(p)) > c.r.Size() {
		c.t.Errorf("read of %d bytes at %d of a file of %d", len(p), off, c.r.Size())
	}
	return c.r.ReadAt(p, off)
}

// FuzzDetect checks, for any file, that detection does not panic, reads each
// part once, gives whole reports, and gives the same verdict again when its own
// answer is declared.
func FuzzDetect(f *testing.F) {
	formattest.Seeds(f)
	for _, p := range [][]byte{
		nil, {0}, []byte(vmdkText), file(512, 0, vmdkText, 510, "\x55\xaa"),
		file(4096, 0, qcow2Head, -512, "conectix"), file(70000, 446, mbr, 32768, pvd),
		file(4096, 446, mbr, 512, "EFI PART", -512, "EFI PART"), file(66000, 0x8000, "SKUL\xba\xbe"),
		file(1024, -512, "koly"), file(1024, -22, eocd), file(1024, 0, "name", 148, "000123\x00 "),
		file(600, 0, "x.ovf", 257, "ustar"), file(2048, 0, "vhdxfile"), file(2048, 64, "\x7f\x10\xda\xbe"),
		file(1024, 0, "FAKEx"), []byte("FAKE"), gzipOf([]byte("x")), zipOf("c"), []byte("<?xml?><Parallels_Disk_Image>"), []byte("<html>"),
	} {
		f.Add(p, "")
		f.Add(p, "raw")
		f.Add(p, "ari")
	}
	d, all := New([]formats.Format{raw.Format{}, fake{}}), New(readers())
	f.Fuzz(func(t *testing.T, p []byte, declared string) {
		r := &counting{t: t, r: bytes.NewReader(p)}
		size := int64(len(p))
		rep, disk, err := d.Detect(context.Background(), r, size, options(formats.Name(declared)))
		checkReport(t, rep, disk, err)
		// The fake format reads five bytes of its own.
		if most := min(size, formats.HeadLen) + min(size, formats.TailLen) + 4 + 5; r.read > most {
			t.Errorf("read %d bytes of %d, at most %d are allowed", r.read, size, most)
		}
		if werr := rep.WriteText(io.Discard); werr != nil {
			t.Error(werr)
		}
		var b strings.Builder
		rep.WriteText(&b)
		if strings.ContainsAny(b.String(), "\x1b\x00\r") {
			t.Error("the text holds control characters")
		}
		full, opened, fullErr := all.Detect(context.Background(), bytes.NewReader(p), size, options(formats.Name(declared)))
		checkReport(t, full, opened, fullErr)
		if opened != nil {
			if _, err := NestedCheck(opened); err != nil && errcode.Of(err) == errcode.ParserCrash {
				t.Error(err)
			}
			opened.Close()
		}
		if errcode.Of(fullErr) == errcode.ParserCrash {
			t.Error(fullErr)
		}
		if err != nil {
			return
		}
		if _, again, err := d.Detect(context.Background(), r, size, options(rep.DiskFormat)); err != nil {
			t.Errorf("%q, declared as found: %v", rep.DiskFormat, err)
		} else {
			again.Close()
		}
		if nested, err := NestedCheck(disk); err != nil {
			if _, ok := errcode.As(err); !ok {
				t.Errorf("nested check: an error without a code: %v", err)
			}
		} else if (rep.DiskFormat == formats.Raw || Opaque(rep.DiskFormat)) && len(nested) != 0 {
			t.Errorf("a file that nothing claims holds %+v", nested)
		}
	})
}
