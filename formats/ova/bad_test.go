package ova

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// file is a member of an OVA made by hand.
type file struct{ name, body string }

// archive makes a tar file.
func archive(files ...file) []byte {
	var b []byte
	for _, f := range files {
		b = append(b, header(f.name, int64(len(f.body)))...)
		b = append(b, f.body...)
		b = append(b, make([]byte, padding(int64(len(f.body))))...)
	}
	return append(b, make([]byte, 2*blockBytes)...)
}

// envelopeOf is a descriptor with the given references and disks.
func envelopeOf(files, disks string) string {
	return `<?xml version="1.0"?><Envelope xmlns="` + namespace + `" xmlns:ovf="` + namespace + `"><References>` + files +
		`</References><DiskSection><Info/>` + disks + `</DiskSection><VirtualSystem ovf:id="x"><Info/><Name>x</Name></VirtualSystem></Envelope>`
}

const (
	goodFile = `<File ovf:id="f" ovf:href="d.vmdk" ovf:size="512"/>`
	goodDisk = `<Disk ovf:diskId="v" ovf:fileRef="f" ovf:capacity="512" ovf:capacityAllocationUnits="byte"/>`
)

// ovaOf is an OVA of one disk of 512 bytes.
func ovaOf(files, disks string, more ...file) []byte {
	return archive(append([]file{{"x.ovf", envelopeOf(files, disks)}, {"d.vmdk", strings.Repeat("d", 512)}}, more...)...)
}

// load opens an OVA whose disks are their members' bytes, and verifies it.
func load(t *testing.T, b []byte, lim formats.Limits) error {
	t.Helper()
	p, err := Open(bytes.NewReader(b), int64(len(b)), lim, openRaw)
	if err != nil {
		return err
	}
	defer p.Close()
	_, err = p.Verify(t.Context())
	return err
}

// A badOVA is one with an illness.
type badOVA struct {
	b    []byte
	want errcode.Code
}

// badMembers are ill as tar files.
func badMembers() map[string]badOVA {
	good := ovaOf(goodFile, goodDisk)
	other := func(at int, p string) []byte {
		b := bytes.Clone(good)
		copy(b[at:], p)
		putSum(b)
		return b
	}
	return map[string]badOVA{
		"empty":                {nil, errcode.FormatMismatch},
		"zeros":                {make([]byte, 4096), errcode.FormatMismatch},
		"not tar":              {bytes.Repeat([]byte("x"), 4096), errcode.FormatMismatch},
		"wrong checksum":       {append([]byte("y"), good[1:]...), errcode.FormatMismatch},
		"cut in the header":    {good[:100], errcode.Truncated},
		"cut in the disk":      {good[:len(good)-1500], errcode.Truncated},
		"vast member":          {other(124, "\x80\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00"), errcode.Truncated},
		"a link":               {other(156, "2"), errcode.FormatMismatch},
		"a folder":             {other(156, "5"), errcode.FormatMismatch},
		"descriptor not first": {archive(file{"d.vmdk", "d"}, file{"x.ovf", envelopeOf("", "")}), errcode.FormatMismatch},
		"a path":               {archive(file{"a/x.ovf", envelopeOf("", "")}), errcode.FormatMismatch},
		"a path upwards":       {archive(file{"x.ovf", envelopeOf("", "")}, file{"../d.vmdk", ""}), errcode.FormatMismatch},
		"a path of Windows":    {archive(file{"x.ovf", envelopeOf("", "")}, file{`c:\d.vmdk`, ""}), errcode.FormatMismatch},
		"twice":                {ovaOf(goodFile, goodDisk, file{"d.vmdk", ""}), errcode.MemberMismatch},
		"a stranger":           {ovaOf(goodFile, goodDisk, file{"e.vmdk", ""}), errcode.MemberMismatch},
		"too many members":     {archive(append([]file{{"x.ovf", ""}}, many(maxMembers)...)...), errcode.ParserLimit},
		"descriptor too long":  {archive(file{"x.ovf", strings.Repeat(" ", 1<<20)}), errcode.ParserLimit},
	}
}

// badDescriptors are ill in the descriptor.
func badDescriptors() map[string]badOVA {
	return map[string]badOVA{
		"no XML":              {archive(file{"x.ovf", "hello"}), errcode.FormatMismatch},
		"unclosed":            {archive(file{"x.ovf", "<Envelope>"}), errcode.FormatMismatch},
		"another root":        {archive(file{"x.ovf", `<Envelop xmlns="` + namespace + `"/>`}), errcode.FormatMismatch},
		"another namespace":   {archive(file{"x.ovf", `<Envelope xmlns="http://example.org"/>`}), errcode.FormatMismatch},
		"a document type":     {archive(file{"x.ovf", `<!DOCTYPE a [<!ENTITY b "c">]>` + envelopeOf("", "")}), errcode.FormatMismatch},
		"an entity":           {archive(file{"x.ovf", envelopeOf("&b;", "")}), errcode.FormatMismatch},
		"too deep":            {archive(file{"x.ovf", envelopeOf(strings.Repeat("<a>", 70)+strings.Repeat("</a>", 70), "")}), errcode.ParserLimit},
		"too many files":      {ovaOf(strings.Repeat(goodFile, maxFiles+1), goodDisk), errcode.ParserLimit},
		"too many disks":      {ovaOf(goodFile, strings.Repeat(goodDisk, maxFiles+1)), errcode.ParserLimit},
		"a file twice":        {ovaOf(goodFile+goodFile, goodDisk), errcode.MemberMismatch},
		"an id twice":         {ovaOf(goodFile+`<File ovf:id="f" ovf:href="e.vmdk"/>`, goodDisk, file{"e.vmdk", ""}), errcode.MemberMismatch},
		"itself as a disk":    {ovaOf(`<File ovf:id="f" ovf:href="x.ovf"/>`, goodDisk), errcode.MemberMismatch},
		"a missing file":      {ovaOf(`<File ovf:id="f" ovf:href="e.vmdk"/>`, goodDisk), errcode.MemberMissing},
		"a file of the host":  {ovaOf(`<File ovf:id="f" ovf:href="/etc/passwd"/>`, goodDisk), errcode.MemberMissing},
		"a file of the net":   {ovaOf(`<File ovf:id="f" ovf:href="http://example.org/d.vmdk"/>`, goodDisk), errcode.MemberMissing},
		"another size":        {ovaOf(`<File ovf:id="f" ovf:href="d.vmdk" ovf:size="513"/>`, goodDisk), errcode.MemberMismatch},
		"compressed":          {ovaOf(`<File ovf:id="f" ovf:href="d.vmdk" ovf:compression="gzip"/>`, goodDisk), errcode.FormatNotAllowed},
		"in pieces":           {ovaOf(`<File ovf:id="f" ovf:href="d.vmdk" ovf:chunkSize="9"/>`, goodDisk), errcode.FormatNotAllowed},
		"a delta":             {ovaOf(goodFile, `<Disk ovf:diskId="v" ovf:fileRef="f" ovf:capacity="512" ovf:parentRef="w"/>`), errcode.FormatNotAllowed},
		"no file":             {ovaOf(goodFile, `<Disk ovf:diskId="v" ovf:capacity="512"/>`), errcode.MemberMissing},
		"a file of two disks": {ovaOf(goodFile, goodDisk+goodDisk), errcode.MemberMismatch},
		"another capacity":    {ovaOf(goodFile, strings.ReplaceAll(goodDisk, `"512"`, `"1024"`)), errcode.MemberMismatch},
		"no capacity":         {ovaOf(goodFile, strings.ReplaceAll(goodDisk, `"512"`, `"${size}"`)), errcode.FormatMismatch},
		"an unknown unit":     {ovaOf(goodFile, strings.ReplaceAll(goodDisk, `"byte"`, `"acres"`)), errcode.FormatMismatch},
		"a vast unit":         {ovaOf(goodFile, strings.ReplaceAll(goodDisk, `"byte"`, `"byte * 2^60"`)), errcode.FormatMismatch},
	}
}

// badManifests are ill in the manifest.
func badManifests() map[string]badOVA {
	sha := strings.Repeat("0", 64)
	return map[string]badOVA{
		"manifest too long":          {ovaOf(goodFile, goodDisk, file{"x.mf", strings.Repeat("\n", maxManifest+1)}), errcode.ParserLimit},
		"manifest of nonsense":       {ovaOf(goodFile, goodDisk, file{"x.mf", "hello"}), errcode.ChecksumInvalid},
		"manifest of MD5":            {ovaOf(goodFile, goodDisk, file{"x.mf", "MD5(d.vmdk)= " + sha[:32]}), errcode.ChecksumInvalid},
		"manifest with a short sum":  {ovaOf(goodFile, goodDisk, file{"x.mf", "SHA256(d.vmdk)= " + sha[:62]}), errcode.ChecksumInvalid},
		"manifest of others":         {ovaOf(goodFile, goodDisk, file{"x.mf", "SHA256(e.vmdk)= " + sha}), errcode.ChecksumInvalid},
		"manifest with a file twice": {ovaOf(goodFile, goodDisk, file{"x.mf", strings.Repeat("SHA256(d.vmdk)= "+sha+"\n", 2)}), errcode.ChecksumInvalid},
		"another digest":             {ovaOf(goodFile, goodDisk, file{"x.mf", "SHA256(d.vmdk)= " + sha}), errcode.ChecksumMismatch},
		"another SHA-1":              {ovaOf(goodFile, goodDisk, file{"x.mf", "SHA1(d.vmdk)= " + sha[:40]}), errcode.ChecksumMismatch},
	}
}

func TestBad(t *testing.T) {
	if err := load(t, ovaOf(goodFile, goodDisk), formats.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	all := badMembers()
	maps.Copy(all, badDescriptors())
	maps.Copy(all, badManifests())
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			err := load(t, c.b, formats.DefaultLimits())
			if got := errcode.Of(err); got != c.want {
				t.Fatalf("refused with %q, want %s: %v", got, c.want, err)
			}
			if e, ok := errcode.As(err); !ok || e.Evidence == nil || e.Evidence.Format != container {
				t.Errorf("no evidence in %v", err)
			}
		})
	}
}

// putSum puts the first header's checksum right.
func putSum(b []byte) {
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b[:blockBytes] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
}

func many(n int) []file {
	var out []file
	for i := range n {
		out = append(out, file{fmt.Sprintf("d%d.vmdk", i), ""})
	}
	return out
}

// TestOthersOVAs reads what other programs write: manifest behind the descriptor,
// a certificate, SHA-1, a space before the parenthesis, units of 2^20.
func TestOthersOVAs(t *testing.T) {
	disk := strings.Repeat("d", 1<<20)
	text := envelopeOf(`<File ovf:id="f" ovf:href="d.vmdk"/>`,
		`<Disk ovf:diskId="v" ovf:fileRef="f" ovf:capacity="1" ovf:capacityAllocationUnits="byte * 2^20"/>`)
	// printf %1048576s | tr ' ' d | sha1sum
	const sum = "61da8b03cf5ccf50f46d441c8c989d9b1c761af6"
	b := archive(file{"x.ovf", text}, file{"x.mf", "SHA1 (d.vmdk) = " + sum + "\r\n"}, file{"x.cert", "c"}, file{"d.vmdk", disk})
	p, err := Open(bytes.NewReader(b), int64(len(b)), formats.DefaultLimits(), openRaw)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if n, err := p.Verify(t.Context()); n != 1 || err != nil {
		t.Errorf("%d digests, %v", n, err)
	}
}

// closing counts how many disks are open.
type closing struct {
	formats.Disk
	open *int
}

func (c closing) Close() error { *c.open--; return nil }

// TestOpenClosesWhatItOpened if a later disk is refused.
func TestOpenClosesWhatItOpened(t *testing.T) {
	b := ovaOf(goodFile+`<File ovf:id="g" ovf:href="e.vmdk"/>`, goodDisk+`<Disk ovf:diskId="w" ovf:fileRef="g" ovf:capacity="7"/>`, file{"e.vmdk", "eee"})
	open, refuse := 0, errors.New("refused")
	_, err := Open(bytes.NewReader(b), int64(len(b)), formats.DefaultLimits(), func(name string, _ io.ReaderAt, size int64) (formats.Disk, error) {
		if name == "e.vmdk" {
			return nil, refuse
		}
		open++
		return closing{imgtest.New(size, 1), &open}, nil
	})
	if !errors.Is(err, refuse) || open != 0 {
		t.Errorf("open: %v, %d disks are left open", err, open)
	}
}

// FuzzOpen takes an OVA, or if whole is even the descriptor of one.
func FuzzOpen(f *testing.F) {
	formattest.Seeds(f)
	f.Add(ovaOf(goodFile, goodDisk, file{"x.mf", "SHA1(d.vmdk)= 00"}), byte(1))
	f.Add(ovaOf(goodFile, goodDisk), byte(1))
	f.Add([]byte(envelopeOf(goodFile, goodDisk)), byte(0))
	f.Fuzz(func(t *testing.T, data []byte, whole byte) {
		if whole%2 == 0 {
			data = archive(file{"x.ovf", string(data)}, file{"d.vmdk", strings.Repeat("d", 512)})
		} else if len(data) >= blockBytes {
			data = bytes.Clone(data)
			putSum(data)
		}
		lim := formattest.FuzzLimits()
		p, err := Open(bytes.NewReader(data), int64(len(data)), lim, func(_ string, r io.ReaderAt, size int64) (formats.Disk, error) {
			if size == 0 {
				return nil, errcode.New(errcode.Empty, "no bytes")
			}
			return imgtest.New(size, 1), nil
		})
		coded(t, err)
		if err != nil {
			return
		}
		defer p.Close()
		for _, d := range p.Disks {
			if d.Off < 0 || d.Size < 0 || d.Off+d.Size > int64(len(data)) || d.Disk.Size() != d.Size {
				t.Fatalf("disk %+v of a file of %d bytes", d, len(data))
			}
		}
		_, err = p.Verify(t.Context())
		coded(t, err)
	})
}

// coded fails the test if an error has no code of its own.
func coded(t *testing.T, err error) {
	t.Helper()
	if c := errcode.Of(err); c == errcode.Internal || err != nil && !errcode.Known(c) {
		t.Fatalf("error without a code: %v", err)
	}
}

// FuzzOptions encodes a small disk with any options: they are refused with a
// reason, or what is written is sound and holds the disk.
func FuzzOptions(f *testing.F) {
	f.Add("", 0, 0, "", "", 0, "", uint32(1<<20), uint64(1), byte(0))
	f.Add("a", 4, 1024, "debian64", "efi", 13, "ahci", uint32(3<<20+7), uint64(2), byte(2))
	f.Add("<&\">", -1, 5, "x", "y", 99, "z", uint32(0), uint64(3), byte(1))
	f.Fuzz(func(t *testing.T, name string, cpus, memory int, os, firmware string, hardware int, controller string, size uint32, seed uint64, more byte) {
		e := Encoder{Disk: stream, Options: Options{Name: name, CPUs: cpus, MemoryMiB: memory, OSType: os, Firmware: firmware, HardwareVersion: hardware, Controller: controller}}
		n := int64(size) % (5 << 20)
		disk := imgtest.New(n, seed)
		if n > 0 {
			disk = imgtest.Random(seed, n, n/2)
		}
		for i := range more % 4 {
			e.More = append(e.More, imgtest.Random(seed+1+uint64(i), 1<<20, 1<<18))
		}
		r := formattest.NewRecorder(t, e, disk)
		sum, err := e.Encode(t.Context(), r, disk, formats.Checkpoint{})
		switch errcode.Of(err) {
		case "":
		case errcode.TargetOption, errcode.VirtualSizeZero:
			return
		default:
			t.Fatal(err)
		}
		p := opened(t, bytes.NewReader(r.Bytes), sum.FileSize)
		if len(p.Disks) != 1+len(e.More) {
			t.Fatalf("%d disks", len(p.Disks))
		}
		for _, d := range p.Disks {
			if _, err := d.Disk.(formats.Validator).Validate(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		imgtest.Equal(t, p.Disks[0].Disk, disk, disk.Size())
	})
}
