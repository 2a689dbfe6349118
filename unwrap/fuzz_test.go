package unwrap

import (
	"archive/zip"
	"bytes"
	"io"
	"testing"

	"ingest/internal/errcode"
)

// FuzzOpen holds that no bytes make a layer give more than the limits allow, fail
// without a code, or make a decoder panic.
func FuzzOpen(f *testing.F) {
	for layer, p := range samples(f) {
		f.Add(string(layer), p)
		f.Add(string(layer), append(bytes.Clone(p), 0, 0, 'x'))
	}
	f.Add("xz", xzBlocks(3, 0))
	f.Add("xz", xzBlocks(0, 40))
	f.Add("zstd", zstdBomb('x', 3))
	f.Add("zstd", append([]byte("\x50\x2a\x4d\x18\x02\x00\x00\x00ab"), zstdBomb(0, 1)...))
	f.Add("bzip2", []byte("BZh9\x17\x72\x45\x38\x50\x90\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, layer string, p []byte) {
		lim := DefaultLimits()
		lim.Output, lim.Dictionary, lim.Window = 1<<20, 1<<20, 1<<20
		z, err := Open(bytes.NewReader(p), Layer(layer), lim)
		var n int64
		if err == nil {
			n, err = io.Copy(io.Discard, z)
		}
		if c := errcode.Of(err); c == errcode.Internal || c == errcode.ParserCrash {
			t.Fatal(err)
		}
		if n > lim.Output {
			t.Fatalf("%d bytes came out", n)
		}
		if err == nil && z.In() != int64(len(p)) {
			t.Fatalf("%d bytes of %d were taken", z.In(), len(p))
		}
	})
}

// FuzzArchive holds that disks are sections of the archive.
func FuzzArchive(f *testing.F) {
	f.Add(packed(f, content(4<<10), "tar -cf out d.raw"))
	f.Add(packed(f, content(4<<10), "zip -q - d.raw > out"))
	f.Add(zipOf(f, deflated(f, 'x', 1<<12), zip.FileHeader{Name: "d.raw", Method: zip.Deflate, UncompressedSize64: 1 << 12}))
	f.Fuzz(func(t *testing.T, p []byte) {
		a, err := openBytes(p)
		if err != nil {
			if errcode.Of(err) == errcode.Internal {
				t.Fatal(err)
			}
			return
		}
		for _, d := range a.Disks {
			if s, ok := d.Section(); ok && (s.Size() != d.Size || d.Size > int64(len(p))) {
				t.Fatalf("%q has %d bytes of %d", d.Name, d.Size, len(p))
			}
			lim := DefaultLimits()
			lim.Output = 1 << 20
			r, err := d.Open(lim)
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			if c := errcode.Of(err); c == errcode.Internal || c == errcode.ParserCrash {
				t.Fatal(err)
			}
		}
	})
}
