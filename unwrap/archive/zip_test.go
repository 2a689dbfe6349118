package archive

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingest/formats/formattest"
	"ingest/internal/errcode"
)

func openZip(p []byte) (ZipMember, error) {
	return Zip(bytes.NewReader(p), int64(len(p)), DefaultLimits())
}

func TestZipOfRealPrograms(t *testing.T) {
	python := func(mode, how string) []string {
		return []string{"python3", "-c", `import zipfile
z = zipfile.ZipFile("out.zip", "w", zipfile.` + mode + `)
` + how + `
z.close()`}
	}
	for _, c := range []struct {
		name   string
		args   []string
		method int
	}{
		{"zip", []string{"zip", "-q", "out.zip", "a.raw"}, MethodDeflated},
		{"zip stored", []string{"zip", "-q", "-0", "out.zip", "a.raw"}, MethodStored},
		{"zip from a pipe", []string{"sh", "-c", "cat a.raw | zip -q out.zip -"}, MethodDeflated},
		{"zip to a pipe", []string{"sh", "-c", "zip -q - a.raw | cat > out.zip"}, MethodDeflated},
		{"zip64", []string{"zip", "-q", "-fz", "out.zip", "a.raw"}, MethodDeflated},
		{"python", python("ZIP_DEFLATED", `z.write("a.raw")`), MethodDeflated},
		{"python stored", python("ZIP_STORED", `z.write("a.raw")`), MethodStored},
		{"python zip64", python("ZIP_STORED", `z.open("a.raw", "w", force_zip64=True).write(open("a.raw", "rb").read())`), MethodStored},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t)
			tool(t, dir, c.args...)
			m, err := openZip(must(os.ReadFile(filepath.Join(dir, "out.zip"))))
			if err != nil || m.Method != c.method || m.Uncompressed != 5000 || m.Size == 0 {
				t.Fatalf("%+v, %v", m, err)
			}
		})
	}
}

// zipped is a zip file of one stored member as Go's writer makes it: with a data
// descriptor.
func zipped(t testing.TB, h zip.FileHeader) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateHeader(&h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("a disk's bytes")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestZipRefusals(t *testing.T) {
	good := zipped(t, zip.FileHeader{Name: "disk.raw"})
	if _, err := openZip(good); err != nil {
		t.Fatal(err)
	}
	central := bytes.Index(good, []byte("PK\x01\x02"))
	end := bytes.Index(good, []byte("PK\x05\x06"))
	le := binary.LittleEndian
	put16 := func(at int, v uint16) []byte {
		p := bytes.Clone(good)
		le.PutUint16(p[at:], v)
		return p
	}
	put32 := func(at int, v uint32) []byte {
		p := bytes.Clone(good)
		le.PutUint32(p[at:], v)
		return p
	}
	both := func(offLocal, offCentral int, v uint16) []byte {
		p := put16(offLocal, v)
		le.PutUint16(p[central+offCentral:], v)
		return p
	}
	var two bytes.Buffer
	w := zip.NewWriter(&two)
	for _, n := range []string{"a", "b"} {
		must(w.Create(n))
	}
	must(0, w.Close())
	link := zip.FileHeader{Name: "disk.raw"}
	link.SetMode(os.ModeSymlink | 0o777)
	comment := append(put16(end+20, 5), "12345"...)
	for _, c := range []struct {
		name string
		p    []byte
		want errcode.Code
	}{
		{"empty", nil, errcode.ZipInvalid},
		{"no end", good[:end], errcode.ZipInvalid},
		{"cut", good[:len(good)-1], errcode.ZipInvalid},
		{"something behind", append(bytes.Clone(good), 'x'), errcode.ZipInvalid},
		{"something in front", append([]byte("MZ"), good...), errcode.ZipInvalid},
		{"comment", comment, errcode.ZipInvalid},
		{"two members", two.Bytes(), errcode.ZipInvalid},
		{"two disks", put16(end+4, 1), errcode.ZipInvalid},
		{"no entry", put16(end+10, 0), errcode.ZipInvalid},
		{"zip64 without its records", put16(end+10, 0xffff), errcode.ZipInvalid},
		{"directory elsewhere", put32(end+16, uint32(central+1)), errcode.ZipInvalid},
		{"directory too long", put32(end+12, uint32(end)), errcode.ZipInvalid},
		{"member's comment", put16(central+32, 1), errcode.ZipInvalid},
		{"local header elsewhere", put32(central+42, 1), errcode.ZipInvalid},
		{"other name", func() []byte { p := bytes.Clone(good); p[30] = 'X'; return p }(), errcode.ZipInvalid},
		{"other method", put16(8, 8), errcode.ZipInvalid},
		{"local header has other sizes", put32(18, 7), errcode.ZipInvalid},
		{"sizes differ", put32(central+20, 13), errcode.ZipInvalid},
		{"1 TiB", put32(central+24, 0xfffffffe), errcode.ZipInvalid},
		{"descriptor has another sum", put32(central-12, 1), errcode.ZipInvalid},
		{"encrypted", both(6, 8, 1<<3|1), errcode.CompressionMethod},
		{"strongly encrypted", both(6, 8, 1<<3|1<<6), errcode.CompressionMethod},
		{"patch", both(6, 8, 1<<3|1<<5), errcode.CompressionMethod},
		{"LZMA", both(8, 10, 14), errcode.CompressionMethod},
		{"gap", func() []byte {
			p := both(6, 8, 0)
			copy(p[14:26], p[central+16:central+28]) // sizes are known, and the descriptor is too much
			return p
		}(), errcode.TrailingData},
		{"symbolic link", zipped(t, link), errcode.OVALink},
		{"parent", zipped(t, zip.FileHeader{Name: "../disk.raw"}), errcode.OVAPath},
		{"absolute", zipped(t, zip.FileHeader{Name: "/disk.raw"}), errcode.OVAPath},
		{"backslash", zipped(t, zip.FileHeader{Name: `a\disk.raw`}), errcode.OVAPath},
		{"zero byte", zipped(t, zip.FileHeader{Name: "disk\x00.raw"}), errcode.OVAPath},
		{"name one past 255", zipped(t, zip.FileHeader{Name: strings.Repeat("x", 256)}), errcode.OVAPath},
		{"bad extra field", zipped(t, zip.FileHeader{Name: "disk.raw", Extra: []byte{1, 2, 3}}), errcode.ZipInvalid},
		{"two ZIP64 fields", zipped(t, zip.FileHeader{Name: "disk.raw", Extra: []byte{1, 0, 0, 0, 1, 0, 0, 0}}), errcode.ZipInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := openZip(c.p)
			wantCode(t, err, c.want)
		})
	}
	if _, err := openZip(zipped(t, zip.FileHeader{Name: strings.Repeat("x", 255)})); err != nil {
		t.Errorf("name of 255 bytes: %v", err)
	}
	none := DefaultLimits()
	none.Members = 0
	_, err := Zip(bytes.NewReader(good), int64(len(good)), none)
	wantCode(t, err, errcode.OVATooManyMembers)
}

// FuzzZip holds that the member lies within the file and has a safe name.
func FuzzZip(f *testing.F) {
	formattest.Seeds(f)
	f.Add(zipped(f, zip.FileHeader{Name: "disk.raw"}))
	f.Add(zipped(f, zip.FileHeader{Name: "disk.raw", Method: zip.Deflate, Extra: []byte{1, 0, 0, 0}}))
	f.Add([]byte("PK\x03\x04PK\x01\x02PK\x06\x06PK\x06\x07PK\x05\x06"))
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := openZip(p)
		if err != nil {
			if errcode.Of(err) == errcode.Internal {
				t.Fatal(err)
			}
			return
		}
		if m.Off < 30 || m.Size < 0 || m.Off+m.Size > int64(len(p)) || m.Uncompressed < 0 || strings.ContainsAny(m.Name, "/\\\x00") {
			t.Fatalf("%+v in %d bytes", m, len(p))
		}
	})
}
