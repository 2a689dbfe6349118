package detect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/formats"
	"ingest/formats/raw"
	"ingest/internal/errcode"
)

// fake is a format that shows how the detector treats what readers answer: the
// byte behind its magic says what goes wrong.
type fake struct{}

func (fake) Name() formats.Name { return "fake" }

func (fake) Match(head, _ []byte, _ int64) formats.Match {
	if bytes.HasPrefix(head, []byte("FAKEm")) {
		panic("match")
	}
	return formats.Match{OK: bytes.HasPrefix(head, []byte("FAKE")), Subformat: "matched", Value: "FAKE"}
}

func (fake) Open(r io.ReaderAt, size int64, _ formats.Limits) (formats.Disk, error) {
	if size < 5 {
		return nil, io.ErrUnexpectedEOF
	}
	p := make([]byte, 5)
	if _, err := r.ReadAt(p, 0); err != nil {
		return nil, err
	}
	d := fakeDisk{Disk: raw.New(r, size), how: p[4]}
	switch d.how {
	case 'o':
		return nil, errcode.New(errcode.TableBounds, "bad table")
	case 'p':
		var table []int
		_ = table[size]
	case 'e':
		return nil, errors.New("an error without a code")
	}
	return d, nil
}

type fakeDisk struct {
	formats.Disk
	how byte
}

func (d fakeDisk) Size() int64 {
	switch d.how {
	case 'z':
		return 0
	case 'l':
		return formats.DefaultLimits().VirtualSize + 1
	case 'L':
		return formats.DefaultLimits().VirtualSize
	}
	return d.Disk.Size()
}

func (d fakeDisk) Info() formats.Info {
	info := formats.Info{Format: "fake", Subformat: "opened", VirtualSize: d.Size(), BlockSize: 4096, Compression: "zstd", Creator: "esc\x1b[31m", HolesKnown: d.how != 'L'}
	if d.how == 'u' {
		info.Unreadable = errcode.New(errcode.QCOW2Encrypted, "encrypted")
	}
	if d.how == 'w' {
		info.Findings = append(info.Findings, formats.Note(errcode.QCOW2Dirty, formats.SeverityWarning, "dirty", errcode.Evidence{Format: "fake", Field: "flags", Offset: errcode.At(72), Value: "1"}))
	}
	return info
}

func (d fakeDisk) ExtentAt(off int64) (formats.Extent, error) {
	switch d.how {
	case 'x':
		return formats.Extent{}, errcode.New(errcode.Truncated, "the table ends")
	case 'X':
		panic("extent")
	}
	if off < 4096 {
		return formats.Extent{Len: 4096, State: formats.Data, HostOff: -1}, nil
	}
	return formats.Extent{Off: 4096, Len: d.Size() - 4096, State: formats.Hole, HostOff: -1}, nil
}

func TestReadersAnswer(t *testing.T) {
	d := New([]formats.Format{raw.Format{}, fake{}})
	for _, c := range []struct {
		name string
		how  string
		code errcode.Code
	}{
		{"open", "", ""},
		{"open with a warning", "w", ""},
		{"largest virtual size", "L", ""},
		{"refused", "o", errcode.TableBounds},
		{"panic in match", "m", errcode.ParserCrash},
		{"panic in open", "p", errcode.ParserCrash},
		{"panic in extents", "X", errcode.ParserCrash},
		{"error without a code", "e", errcode.Internal},
		{"unreadable", "u", errcode.QCOW2Encrypted},
		{"bad table", "x", errcode.Truncated},
		{"no size", "z", errcode.VirtualSizeZero},
		{"size above the limit", "l", errcode.VirtualSizeTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := file(3*mib, 0, "FAKE"+c.how)
			rep, disk, err := d.Detect(context.Background(), bytes.NewReader(p), int64(len(p)), options(""))
			checkReport(t, rep, disk, err)
			if errcode.Of(err) != c.code {
				t.Errorf("got %v, want %q", err, c.code)
			}
		})
	}
}

func TestReport(t *testing.T) {
	d := New([]formats.Format{raw.Format{}, fake{}})
	rep, err := detectBytes(t, d, file(3*mib, 0, "FAKEw"), "fake")
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(rep, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"disk_format": "fake"`, `"subformat": "opened"`, `"container_format": "bare"`, `"virtual_size": 3145728`, `"file_size": 3145728`,
		`"allocated_size": 4096`, `"block_size": 4096`, `"compression": "zstd"`, `"safe": true`, `"findings": [`, `"checks": [`, `"result": "pass"`,
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("JSON has no %s:\n%s", want, got)
		}
	}
	var back Report
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	var a, b strings.Builder
	if err := errors.Join(rep.WriteText(&a), back.WriteText(&b)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.String(), b.String()); diff != "" {
		t.Errorf("the report changes on its way through JSON:\n%s", diff)
	}
	if strings.Contains(a.String(), "\x1b") {
		t.Error("the text lets an escape character of the image through")
	}
}

func TestWriteText(t *testing.T) {
	d := New([]formats.Format{raw.Format{}})
	rep, _ := detectBytes(t, d, file(mib, 0, "vhdxfile"), "")
	var b strings.Builder
	if err := rep.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `disk format      vhdx
file size        1 MiB (1048576 bytes)
safe             NO: the image is refused

findings
  error    IMG_FORMAT_NOT_ALLOWED  the file is a VHDX, which is not read
           seen: format vhdx, structure magic, offset 0, value "vhdxfile"
           remedy: Convert it with ` + "`qemu-img convert -O qcow2`" + ` and import the result.

checks
  pass  file size        1048576 bytes
  pass  magic            vhdx at 0 ("vhdxfile")
  pass  one format only  no other format's magic in the first and last bytes
  skip  declared format  nothing was declared; found vhdx
  fail  accepted format  IMG_FORMAT_NOT_ALLOWED: the file is a VHDX, which is not read
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNestedCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		disk []byte
		code errcode.Code
	}{
		{"partitions", file(mib, 446, mbr), ""},
		{"iso", file(mib, 446, mbr, 32768, pvd), ""},
		{"zeros", file(mib), ""},
		{"one byte", []byte{1}, ""},
		{"qcow2", file(mib, 0, qcow2Head), errcode.NestedFormat},
		{"text vmdk", file(mib, 0, vmdkText), errcode.NestedFormat},
		{"fixed vhd", file(mib, 446, mbr, -512, "conectix"), errcode.NestedFormat},
		{"gzip", gzipOf(make([]byte, 10)), errcode.NestedFormat},
		{"zip tail", file(mib, -22, eocd), errcode.NestedFormat},
		{"luks", file(mib, 0, "LUKS\xba\xbe\x00\x02"), errcode.LUKSUndeclared},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := NestedCheck(raw.New(bytes.NewReader(c.disk), int64(len(c.disk))))
			if err != nil {
				t.Fatal(err)
			}
			if c.code == "" {
				if len(got) != 0 {
					t.Errorf("got %+v, want nothing", got)
				}
				return
			}
			if len(got) != 1 || got[0].Code != c.code || got[0].Severity != formats.SeverityWarning {
				t.Errorf("got %+v, want one warning %s", got, c.code)
			}
		})
	}
	two, err := NestedCheck(raw.New(bytes.NewReader(file(mib, 0, qcow2Head, -512, "conectix")), mib))
	if err != nil || len(two) != 2 {
		t.Errorf("two formats give %+v, %v", two, err)
	}
	if _, err := NestedCheck(raw.New(failing{errors.New("x")}, mib)); err == nil {
		t.Error("a read error is lost")
	}
	if _, err := NestedCheck(fakeDisk{Disk: raw.New(bytes.NewReader(file(mib)), mib), how: 'X'}); errcode.Of(err) != errcode.ParserCrash {
		t.Errorf("a panic gives %v", err)
	}
}
