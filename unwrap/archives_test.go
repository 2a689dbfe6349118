package unwrap

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/internal/errcode"
)

func openBytes(p []byte) (*Contents, error) {
	return OpenArchive(bytes.NewReader(p), int64(len(p)), DefaultLimits())
}

// packed is what a program makes of the disk d.raw in a folder.
func packed(t testing.TB, disk []byte, script string) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "d.raw"), disk, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, nil, "sh", "-ec", "cd '"+dir+"'\n"+script)
	p, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestArchivesWithOneDisk(t *testing.T) {
	disk := content(300 << 10)
	for _, c := range []struct {
		script, container string
		inPlace           bool
	}{
		{"tar -cf out d.raw", ContainerTar, true},
		{"zip -q out.zip d.raw; mv out.zip out", ContainerZip, false},
		{"zip -q -0 out.zip d.raw; mv out.zip out", ContainerZip, true},
		{"zip -q - d.raw > out", ContainerZip, false},
		{"python3 -m zipfile -c out d.raw", ContainerZip, false},
		{"python3 -m tarfile -c out d.raw", ContainerTar, true},
	} {
		t.Run(c.script, func(t *testing.T) {
			a, err := openBytes(packed(t, disk, c.script))
			if err != nil || a.Container != c.container || a.Verbatim || len(a.Disks) != 1 {
				t.Fatalf("%+v, %v", a, err)
			}
			d := a.Disks[0]
			if d.Name != "d.raw" || d.Size != int64(len(disk)) || !d.Boot || d.Capacity != -1 {
				t.Errorf("%+v", d)
			}
			r, err := d.Open(DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, disk) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			s, ok := d.Section()
			if ok != c.inPlace {
				t.Fatalf("in place: %v", ok)
			}
			if ok {
				if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, disk) {
					t.Errorf("in place: %d bytes, %v", len(got), err)
				}
			}
		})
	}
}

func TestArchivesThatAreRefused(t *testing.T) {
	disk := content(64 << 10)
	twoTar := packed(t, disk, "cp d.raw e.raw; tar -cf out d.raw e.raw")
	nested := packed(t, disk, "gzip -c d.raw > d.raw.gz; zip -q out.zip d.raw.gz; mv out.zip out")
	if _, err := openBytes(twoTar); errcode.Of(err) != errcode.OVANoOVF {
		t.Errorf("two disks without a descriptor: %v", err)
	}
	if _, err := openBytes(nil); errcode.Of(err) != errcode.Truncated {
		t.Errorf("nothing: %v", err)
	}
	a, err := openBytes(nested)
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Disks[0].Open(DefaultLimits())
	wantCode(t, err, errcode.CompressionNested)
}

// containerImage is an archive as `docker save` and its like write it, of one layer.
func containerImage(t testing.TB, first string, layer []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(name string, p []byte) {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: '0', Size: int64(len(p))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	add(first, []byte("{}"))
	add("layer", layer)
	if first != "manifest.json" {
		add("manifest.json", []byte(`[{"Config":"`+strings.TrimPrefix(first, "./")+`","Layers":["layer"]}]`))
	}
	w.Close()
	return b.Bytes()
}

func TestContainerImagesStayAsTheyAre(t *testing.T) {
	layer := packed(t, content(4<<10), "tar -cf out d.raw")
	for _, first := range []string{"repositories", "./oci-layout", "blobs/readme", strings.Repeat("0", 64) + ".json"} {
		for name, args := range map[string][]string{"": nil, "gzip": {"gzip", "-c"}, "xz": {"xz", "-c"}, "zstd": {"zstd", "-c"}} {
			l := layer
			if args != nil {
				l = run(t, layer, args...)
			}
			a, err := openBytes(containerImage(t, first, l))
			if err != nil {
				t.Fatalf("%s: %v", first, err)
			}
			if !a.Verbatim || a.Container != ContainerDocker || len(a.Disks) != 0 || a.Docker == nil {
				t.Fatalf("%s: %+v", first, a)
			}
			n, err := a.Docker.Verify(t.Context())
			if first == "blobs/readme" {
				wantCode(t, err, errcode.DockerLayout) // named as no digest
			} else if n != 1 || err != nil {
				t.Errorf("%s with %s: %d layers, %v", first, name, n, err)
			}
		}
	}
	// Compression within compression is for nobody.
	a, err := openBytes(containerImage(t, "repositories", run(t, run(t, layer, "gzip", "-c"), "xz", "-c")))
	if err == nil {
		_, err = a.Docker.Verify(t.Context())
	}
	wantCode(t, err, errcode.CompressionNested)
}

// TestContainerImageOfARealProgram has skopeo write both kinds of archive.
func TestContainerImageOfARealProgram(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hello"), content(64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, nil, "sh", "-ec", "cd '"+dir+"'"+`
		ln -s hello link
		tar -cf layer hello link
		mkdir -p oci/blobs/sha256
		blob() { s=$(sha256sum <$1 | cut -c1-64); n=$(stat -c %s $1); mv $1 oci/blobs/sha256/$s; }
		d=$(sha256sum <layer | cut -c1-64); gzip -n layer; mv layer.gz layer
		blob layer; layer='{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:'$s'","size":'$n'}'
		echo '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:'$d'"]}}' >config
		blob config; config='{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:'$s'","size":'$n'}'
		echo '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":'$config',"layers":['$layer']}' >manifest
		blob manifest
		echo '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:'$s'","size":'$n'}]}' >oci/index.json
		echo '{"imageLayoutVersion":"1.0.0"}' >oci/oci-layout
		skopeo --insecure-policy copy -q oci:oci docker-archive:docker.tar:box:1
		skopeo --insecure-policy copy -q oci:oci oci-archive:oci.tar
		tar -cf plain.tar -C oci .`)
	for name, layout := range map[string]string{"docker.tar": "docker", "oci.tar": "oci", "plain.tar": "oci"} {
		p, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		a, err := openBytes(p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if n, err := a.Docker.Verify(t.Context()); n != 1 || err != nil || a.Docker.Layout != layout || a.Docker.Images != 1 || a.Docker.Layers != 1 {
			t.Errorf("%s: %d layers, %v, %+v", name, n, err, a.Docker)
		}
	}
}

// zipOf is a zip file of p, whose sizes are what the writer is told.
func zipOf(t testing.TB, p []byte, h zip.FileHeader) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateRaw(&h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(p); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return b.Bytes()
}

// deflated is n bytes of b as raw deflate, without the header and trailer of gzip.
func deflated(t testing.TB, b byte, n int) []byte {
	p := small(t, b, n, "gzip", "-n", "-9", "-c")
	return p[10 : len(p)-8]
}

func TestZipSaysWhatItHolds(t *testing.T) {
	data := deflated(t, 'x', 32<<20)
	header := func(size uint64) zip.FileHeader {
		return zip.FileHeader{Name: "d.raw", Method: zip.Deflate, CompressedSize64: uint64(len(data)), UncompressedSize64: size}
	}
	stored := zip.FileHeader{Name: "d.raw", CompressedSize64: uint64(len(data)), UncompressedSize64: uint64(len(data))}
	later := func(h zip.FileHeader) zip.FileHeader { h.Flags = 1 << 3; return h }
	for _, c := range []struct {
		name string
		p    []byte
		want errcode.Code
		most int64 // bytes that come out
	}{
		{"1 TiB", zipOf(t, data, later(header(1<<40))), errcode.ExpansionRatio, 0},
		{"bytes that are not zero past the ratio", zipOf(t, data, header(32<<20)), errcode.ExpansionRatio, 32 << 20},
		{"more than it says", zipOf(t, data, header(1<<20)), errcode.CompressionCorrupt, 1 << 20},
		{"less than it says", zipOf(t, deflated(t, 0, 1<<20), zip.FileHeader{Name: "d.raw", Method: zip.Deflate, CompressedSize64: uint64(len(deflated(t, 0, 1<<20))), UncompressedSize64: 1<<20 + 1}), errcode.CompressionCorrupt, 1 << 20},
		{"wrong sum", zipOf(t, data, stored), errcode.CompressionCorrupt, int64(len(data))},
		{"a byte behind deflate", zipOf(t, append(deflated(t, 0, 1<<10), 'x'), zip.FileHeader{Name: "d.raw", Method: zip.Deflate, CRC32: 0xefb5af2e, CompressedSize64: uint64(len(deflated(t, 0, 1<<10)) + 1), UncompressedSize64: 1 << 10}), errcode.TrailingData, 1 << 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n int64
			a, err := openBytes(c.p)
			if err == nil {
				var r io.Reader
				if r, err = a.Disks[0].Open(DefaultLimits()); err == nil {
					n, err = io.Copy(io.Discard, r)
				}
			}
			wantCode(t, err, c.want)
			if n > c.most {
				t.Errorf("%d bytes came out, at most %d", n, c.most)
			}
		})
	}
	lim := DefaultLimits()
	p := zipOf(t, data, header(32<<20))
	for past, want := range []errcode.Code{"", errcode.DecompressedTooLarge} {
		lim.Output = int64(32<<20 - past)
		if _, err := OpenArchive(bytes.NewReader(p), int64(len(p)), lim); errcode.Of(err) != want {
			t.Errorf("%d past the limit: %v", past, err)
		}
	}
}

func TestComputeEngine(t *testing.T) {
	disk := make([]byte, 1<<20)
	copy(disk[300<<10:], content(64<<10))
	for script, want := range map[string]errcode.Code{
		"cp --sparse=always d.raw disk.raw; tar --format=oldgnu -Sczf out disk.raw": "",
		"mv d.raw disk.raw; tar -czf out disk.raw":                                  "",
		"tar --format=oldgnu -Sczf out d.raw":                                       errcode.GCPLayout,
	} {
		p := packed(t, disk, script)
		z, err := Open(bytes.NewReader(p), Gzip, DefaultLimits())
		if err != nil || IsGCE(z.Head()) != (want == "") {
			t.Fatalf("%s: recognised %v, %v", script, IsGCE(z.Head()), err)
		}
		d, err := OpenGCE(bytes.NewReader(p), int64(len(p)), formats.DefaultLimits())
		if want != "" {
			wantCode(t, err, want)
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		got, err := io.ReadAll(io.NewSectionReader(d, 0, d.Size()))
		if err != nil || !bytes.Equal(got, disk) {
			t.Errorf("%s: %d bytes, %v", script, len(got), err)
		}
		d.Close()
	}
	// A sparse member is for Compute Engine alone.
	p := packed(t, disk, "cp --sparse=always d.raw disk.raw; tar --format=oldgnu -Scf out disk.raw")
	if _, err := openBytes(p); errcode.Of(err) != errcode.OVASparse {
		t.Errorf("sparse, not compressed: %v", err)
	}
}

// TestArchivesBombsAreRefusedUnread holds that an archive which promises a TiB is
// refused for what it says, with hardly a byte read.
func TestArchivesBombsAreRefusedUnread(t *testing.T) {
	file := make([]byte, bombBytes)
	copy(file, packed(t, content(64<<10), "truncate -s 1T d.raw; tar --format=gnu -cf - d.raw 2>/dev/null | head -c 1048576 > out"))
	c := &counting{r: bytes.NewReader(file)}
	_, err := OpenArchive(c, bombBytes, DefaultLimits())
	wantCode(t, err, errcode.Truncated)
	if c.n > 4<<10 {
		t.Errorf("%d bytes were read", c.n)
	}
}

// A counting reader says how many bytes were read.
type counting struct {
	r io.ReaderAt
	n int
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += n
	return n, err
}
