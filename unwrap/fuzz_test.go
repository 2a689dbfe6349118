package unwrap

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"io"
	"testing"

	"ingest/formats/formattest"
	"ingest/internal/errcode"
)

// fuzzLayer holds that no bytes make a layer give more than the limits allow, fail
// without a code, or make a decoder panic, and that where nothing is wrong all
// bytes of the source were taken.
func fuzzLayer(t *testing.T, layer Layer, p []byte) {
	lim := DefaultLimits()
	lim.Output, lim.Dictionary, lim.Window = 1<<20, 1<<20, 1<<20
	z, err := Open(bytes.NewReader(p), layer, lim)
	var n int64
	if err == nil {
		n, err = io.Copy(io.Discard, z)
	}
	coded(t, err)
	if n > lim.Output {
		t.Fatalf("%d bytes came out", n)
	}
	if err == nil && z.In() != int64(len(p)) {
		t.Fatalf("%d bytes of %d were taken", z.In(), len(p))
	}
}

// coded fails the test if an error has no code of its own.
func coded(t *testing.T, err error) {
	t.Helper()
	if c := errcode.Of(err); c == errcode.Internal || c == errcode.ParserCrash {
		t.Fatal(err)
	}
}

// addSamples adds what the layer's tool makes, whole and with something behind.
func addSamples(f *testing.F, layer Layer, add func(p []byte)) {
	p := samples(f)[layer]
	add(p)
	add(append(bytes.Clone(p), 0, 0, 'x'))
	add(p[:len(p)/2-1])
}

// FuzzGzip fuzzes gzip.
func FuzzGzip(f *testing.F) {
	formattest.Seeds(f)
	addSamples(f, Gzip, func(p []byte) { f.Add(p) })
	f.Add([]byte("\x1f\x8b\x08\x1e\x00\x00\x00\x00\x00\x03\x02\x00ab\x00n\x00c\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(append(gzipOf(f, bytes.Repeat([]byte{0x78}, 1<<16)), gzipOf(f, []byte{0})...))
	f.Fuzz(func(t *testing.T, p []byte) { fuzzLayer(t, Gzip, p) })
}

// gzipOf is p as one member of gzip.
func gzipOf(t testing.TB, p []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return b.Bytes()
}

// FuzzXz fuzzes xz. If mend is odd the sums of the first headers are made right,
// which a changed byte would break.
func FuzzXz(f *testing.F) {
	formattest.Seeds(f)
	addSamples(f, XZ, func(p []byte) { f.Add(p, byte(0)) })
	f.Add(xzBlocks(3, 0), byte(1))
	f.Add(xzBlocks(0, 40), byte(0))
	f.Add(xzBlocks(1, 40), byte(1))
	f.Fuzz(func(t *testing.T, p []byte, mend byte) {
		if mend%2 == 1 {
			p = mendXZ(bytes.Clone(p))
		}
		fuzzLayer(t, XZ, p)
	})
}

// mendXZ sets the CRC32 of the stream header and of the first block header (The .xz
// File Format, 2.1.1 and 3.1).
func mendXZ(p []byte) []byte {
	if len(p) < 13 {
		return p
	}
	le := binary.LittleEndian
	le.PutUint32(p[8:], crc32.ChecksumIEEE(p[6:8]))
	if n := 12 + (int(p[12])+1)*4; n <= len(p) {
		le.PutUint32(p[n-4:], crc32.ChecksumIEEE(p[12:n-4]))
	}
	return p
}

// FuzzZstd fuzzes zstd.
func FuzzZstd(f *testing.F) {
	formattest.Seeds(f)
	addSamples(f, Zstd, func(p []byte) { f.Add(p) })
	f.Add(zstdBomb('x', 3))
	f.Add(append([]byte("\x50\x2a\x4d\x18\x02\x00\x00\x00ab"), zstdBomb(0, 1)...))
	f.Fuzz(func(t *testing.T, p []byte) { fuzzLayer(t, Zstd, p) })
}

// FuzzBzip2 fuzzes bzip2.
func FuzzBzip2(f *testing.F) {
	formattest.Seeds(f)
	addSamples(f, Bzip2, func(p []byte) { f.Add(p) })
	f.Add([]byte("BZh9\x17\x72\x45\x38\x50\x90\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, p []byte) { fuzzLayer(t, Bzip2, p) })
}

// fuzzArchive holds that disks are sections of the archive, and that reading them
// gives no more than the limits allow.
func fuzzArchive(t *testing.T, p []byte) {
	a, err := openBytes(p)
	coded(t, err)
	if err != nil {
		return
	}
	for _, d := range a.Disks {
		if s, ok := d.Section(); ok && (s.Size() != d.Size || d.Size > int64(len(p))) {
			t.Fatalf("%q has %d bytes of %d", d.Name, d.Size, len(p))
		}
		lim := DefaultLimits()
		lim.Output = 1 << 20
		var n int64
		r, err := d.Open(lim)
		if err == nil {
			n, err = io.Copy(io.Discard, r)
		}
		coded(t, err)
		if n > max(lim.Output, int64(len(p))) || err == nil && n != d.Size {
			t.Fatalf("%d bytes of %q came out, of %d", n, d.Name, d.Size)
		}
	}
	if a.OVA != nil {
		_, err := a.OVA.Verify(t.Context())
		coded(t, err)
	}
}

// FuzzDocker fuzzes container images. If mend is odd the sums of the headers of the
// archive are made right, which a changed byte would break.
func FuzzDocker(f *testing.F) {
	formattest.Seeds(f)
	layer := packed(f, content(1<<10), "ln -s d.raw l; tar -b1 -cf out d.raw l")
	f.Add(containerImage(f, "repositories", layer), byte(0))
	f.Add(containerImage(f, "oci-layout", run(f, layer, "gzip", "-c")), byte(1))
	f.Add(packed(f, nil, `mkdir -p blobs/sha256
		cp d.raw blobs/sha256/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
		echo '{"imageLayoutVersion":"1.0.0"}' >oci-layout
		echo '{"manifests":[{"mediaType":"x.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}]}' >index.json
		tar -b1 --format=ustar -cf out blobs index.json oci-layout`), byte(1))
	f.Add(packed(f, nil, `i=$(printf %064d 0); mkdir $i; echo '{"parent":""}' >$i/json; ln -s json $i/layer.tar
		echo '{"a":{"b":"'$i'"}}' >repositories; tar -b1 --format=ustar -cf out $i repositories`), byte(1))
	f.Fuzz(func(t *testing.T, p []byte, mend byte) {
		if mend%2 == 1 {
			p = mendTar(bytes.Clone(p))
		}
		lim := DefaultLimits()
		lim.Output = 1 << 20
		a, err := OpenArchive(bytes.NewReader(p), int64(len(p)), lim)
		coded(t, err)
		if err != nil || a.Docker == nil {
			return
		}
		n, err := a.Docker.Verify(t.Context())
		coded(t, err)
		if err == nil && n < a.Docker.Layers {
			t.Fatalf("%d of %d layers were read", n, a.Docker.Layers)
		}
	})
}

// FuzzZip fuzzes zip files and what is in them.
func FuzzZip(f *testing.F) {
	formattest.Seeds(f)
	f.Add(packed(f, content(4<<10), "zip -q - d.raw > out"))
	f.Add(packed(f, content(4<<10), "zip -q -0 - d.raw > out"))
	f.Add(zipOf(f, deflated(f, 'x', 1<<12), zip.FileHeader{Name: "d.raw", Method: zip.Deflate, UncompressedSize64: 1 << 12}))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) < 2 || string(p[:2]) != "PK" {
			return // FuzzTar has those
		}
		fuzzArchive(t, p)
	})
}

// FuzzTar fuzzes tar files: one disk, a machine, a container image. If mend is odd
// the sums of the headers are made right, which a changed byte would break.
func FuzzTar(f *testing.F) {
	formattest.Seeds(f)
	f.Add(packed(f, content(4<<10), "tar -b1 -cf out d.raw"), byte(0))
	f.Add(packed(f, content(4<<10), "tar -b1 --format=pax -cf out d.raw"), byte(1))
	f.Add(packed(f, content(4<<10), "tar -b1 --format=oldgnu -Scf out d.raw"), byte(1))
	f.Add(packed(f, content(1<<10), `
		echo '<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:o="http://schemas.dmtf.org/ovf/envelope/1"><References><File o:id="f" o:href="d.raw"/></References><DiskSection><Info/><Disk o:diskId="d" o:fileRef="f" o:capacity="1024"/></DiskSection></Envelope>' >m.ovf
		for f in m.ovf d.raw; do echo "SHA256($f)= $(sha256sum <$f | cut -c1-64)"; done >m.mf
		tar -b1 --format=ustar -cf out m.ovf m.mf d.raw`), byte(1))
	f.Fuzz(func(t *testing.T, p []byte, mend byte) {
		if mend%2 == 1 {
			p = mendTar(bytes.Clone(p))
		}
		fuzzArchive(t, p)
	})
}

// mendTar sets the sums of what looks like headers.
func mendTar(p []byte) []byte {
	for h := p; len(h) >= headBytes; h = h[headBytes:] {
		if string(h[257:262]) != "ustar" {
			continue
		}
		copy(h[148:156], "        ")
		sum := 0
		for _, b := range h[:headBytes] {
			sum += int(b)
		}
		copy(h[148:156], []byte{'0', '0' + byte(sum>>15&7), '0' + byte(sum>>12&7), '0' + byte(sum>>9&7), '0' + byte(sum>>6&7), '0' + byte(sum>>3&7), '0' + byte(sum&7), 0})
	}
	return p
}
