package detect

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/formats/raw"
	"ingest/internal/errcode"
)

// file is an image made by hand: size zero bytes with pieces put in. A negative
// offset counts from the end.
func file(size int, pieces ...any) []byte {
	p := make([]byte, size)
	for i := 0; i < len(pieces); i += 2 {
		off := pieces[i].(int)
		if off < 0 {
			off += size
		}
		copy(p[off:], pieces[i+1].(string))
	}
	return p
}

// mbr is the end of a first sector with one Linux partition, from byte 446 on.
var mbr = "\x80\x00\x02\x00\x83\xff\xff\xff\x00\x08\x00\x00\x00\x10\x00\x00" + strings.Repeat("\x00", 48) + "\x55\xaa"

const (
	mib       = 1 << 20
	qcow2Head = "QFI\xfb\x00\x00\x00\x03"
	pvd       = "\x01CD001\x01"
	eocd      = "PK\x05\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	vmdkText  = "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n"
)

func options(declared formats.Name) Options {
	return Options{Declared: declared, Limits: formats.DefaultLimits()}
}

// checkReport checks what holds for every report.
func checkReport(t *testing.T, rep Report, disk formats.Disk, err error) {
	t.Helper()
	if rep.Safe != (err == nil) || (disk != nil) != (err == nil) {
		t.Fatalf("safe = %v, disk = %v, err = %v", rep.Safe, disk, err)
	}
	if len(rep.Checks) == 0 {
		t.Error("no check is reported")
	}
	failed := 0
	for _, c := range rep.Checks {
		if c.Name == "" || c.Detail == "" {
			t.Errorf("check is not whole: %+v", c)
		}
		if c.Result == Fail {
			failed++
		}
	}
	refused := 0
	for _, f := range rep.Findings {
		if !errcode.Known(f.Code) || f.Message == "" || f.Remedy == "" {
			t.Errorf("finding is not whole: %+v", f)
		}
		if f.Severity == formats.SeverityError {
			refused++
		}
	}
	if err == nil {
		if failed != 0 || refused != 0 {
			t.Errorf("safe, with %d failed checks and %d errors: %+v", failed, refused, rep)
		}
		return
	}
	if failed != 1 || refused != 1 || rep.Findings[len(rep.Findings)-1].Code != errcode.Of(err) {
		t.Errorf("refused with %v, with %d failed checks and %d errors: %+v", err, failed, refused, rep)
	}
}

func detectBytes(t *testing.T, d *Detector, p []byte, declared formats.Name) (Report, error) {
	t.Helper()
	rep, disk, err := d.Detect(context.Background(), bytes.NewReader(p), int64(len(p)), options(declared))
	checkReport(t, rep, disk, err)
	if disk != nil {
		if got := disk.Size(); got != rep.VirtualSize {
			t.Errorf("virtual size: disk says %d, report %d", got, rep.VirtualSize)
		}
		disk.Close()
	}
	if rep.FileSize != int64(len(p)) {
		t.Errorf("file size %d, want %d", rep.FileSize, len(p))
	}
	return rep, err
}

func TestContents(t *testing.T) {
	d := New([]formats.Format{raw.Format{}})
	for want, p := range map[string][]byte{
		"MBR partition table":                            file(mib, 446, mbr),
		"GPT partition table":                            file(mib, 446, mbr, 512, "EFI PART", -512, "EFI PART"),
		"GPT partition table with sectors of 4096 bytes": file(mib, 446, mbr, 4096, "EFI PART"),
		"backup GPT without its primary":                 file(mib, -512, "EFI PART"),
		"NTFS":                                           file(mib, 3, "NTFS    ", 510, "\x55\xaa"),
		"FAT32":                                          file(mib, 82, "FAT32   ", 510, "\x55\xaa"),
		"ext2/3/4":                                       file(mib, 1080, "\x53\xef"),
		"XFS":                                            file(mib, 0, "XFSB"),
		"btrfs":                                          file(mib, 65600, "_BHRfS_M"),
		"LVM2 physical volume":                           file(mib, 512, "LABELONE"),
		"Linux swap":                                     file(mib, 4086, "SWAPSPACE2"),
		"boot sector":                                    file(mib, 510, "\x55\xaa"),
		"":                                               file(mib),
	} {
		t.Run(want, func(t *testing.T) {
			rep, err := detectBytes(t, d, p, "")
			if err != nil || len(rep.Findings) != 1 {
				t.Fatalf("got %+v, %v", rep.Findings, err)
			}
			f := rep.Findings[0]
			if f.Code != errcode.Contents || f.Severity != formats.SeverityInfo || f.Evidence.Value != want {
				t.Errorf("got %s %s %q, want %q", f.Severity, f.Code, f.Evidence.Value, want)
			}
		})
	}
	rep, err := detectBytes(t, d, file(512, 0, "\r\n<!DOCTYPE HTML><html><body>404</body></html>"), "")
	if err != nil || len(rep.Findings) != 1 || rep.Findings[0].Severity != formats.SeverityWarning || !strings.Contains(rep.Findings[0].Message, "HTML") {
		t.Errorf("an HTML page gives %+v, %v", rep.Findings, err)
	}
}

func TestDeclared(t *testing.T) {
	d := New([]formats.Format{fake{}, raw.Format{}})
	fakeFile, plain := file(mib, 0, "FAKE"), file(mib)
	for _, c := range []struct {
		name     string
		bytes    []byte
		declared formats.Name
		format   formats.Name
		code     errcode.Code
	}{
		{"nothing", fakeFile, "", "fake", ""},
		{"right", fakeFile, "fake", "fake", ""},
		{"right, in capitals", fakeFile, " FAKE ", "fake", ""},
		{"raw that is not", fakeFile, formats.Raw, "fake", errcode.FormatMismatch},
		{"another", fakeFile, formats.QCOW2, "fake", errcode.FormatMismatch},
		{"unread as raw", file(mib, 0, "vhdxfile"), formats.Raw, formats.VHDX, errcode.FormatMismatch},
		{"unread as itself", file(mib, 0, "vhdxfile"), formats.VHDX, formats.VHDX, errcode.FormatNotAllowed},
		{"vpc is vhd", file(mib, -512, "conectix"), "vpc", formats.VHD, errcode.FormatNotAllowed},
		{"raw", plain, formats.Raw, formats.Raw, ""},
		{"ami", plain, "ami", AMI, ""},
		{"nothing of it", plain, formats.QCOW2, "", errcode.FormatUnknown},
		{"unheard of", plain, formats.Name(strings.Repeat("x", 1000)), "", errcode.FormatUnknown},
		{"iso that is not", plain, formats.ISO, "", errcode.FormatUnknown},
		{"compressed, of the inner format", gzipOf(plain), formats.Raw, "gzip", errcode.FormatNotAllowed},
		{"luks as raw", file(mib, 0, "LUKS\xba\xbe\x00\x01"), formats.Raw, formats.LUKS, errcode.LUKSUndeclared},
		{"luks as luks", file(mib, 0, "LUKS\xba\xbe\x00\x01"), formats.LUKS, formats.LUKS, errcode.FormatNotAllowed},
		{"empty", nil, formats.Raw, "", errcode.Empty},
	} {
		t.Run(c.name, func(t *testing.T) {
			rep, err := detectBytes(t, d, c.bytes, c.declared)
			if errcode.Of(err) != c.code || rep.DiskFormat != c.format {
				t.Errorf("got %q, %v; want %q, %q", rep.DiskFormat, err, c.format, c.code)
			}
			if err != nil && len(err.Error()) > 500 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestReadErrorKeepsItsCode(t *testing.T) {
	d := New([]formats.Format{raw.Format{}})
	for _, c := range []struct {
		name string
		err  error
		code errcode.Code
	}{
		{"source's own", errcode.New(errcode.SourceChanged, "changed"), errcode.SourceChanged},
		{"plain", errors.New("cable cut"), errcode.SourceUnreachable},
		{"short", io.EOF, errcode.Truncated},
	} {
		t.Run(c.name, func(t *testing.T) {
			rep, disk, err := d.Detect(context.Background(), failing{c.err}, mib, options(""))
			checkReport(t, rep, disk, err)
			if errcode.Of(err) != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
}

func TestContextEndsDetection(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("stop")
	cancel(stop)
	rep, disk, err := New([]formats.Format{raw.Format{}}).Detect(ctx, bytes.NewReader(file(mib)), mib, options(""))
	if !errors.Is(err, stop) || disk != nil || rep.Safe {
		t.Errorf("got %v, disk %v, safe %v", err, disk, rep.Safe)
	}
	for _, f := range rep.Findings {
		if f.Severity == formats.SeverityError {
			t.Errorf("a stop is told as a fault of the file: %+v", f)
		}
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }
