package api

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/identity"
	"ingest/internal/imgtest"
)

// get downloads over a real connection, which may break.
func (b *uploadBench) get(path string, header ...string) (*http.Response, []byte, error) {
	b.t.Helper()
	r, err := http.NewRequest("GET", b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	return res, raw, err
}

// unpacked returns the member of a tar whose name ends so.
func unpacked(t *testing.T, r io.Reader, suffix string) []byte {
	t.Helper()
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if err != nil {
			t.Fatalf("no %s: %v", suffix, err)
		}
		if strings.HasSuffix(h.Name, suffix) {
			raw, err := io.ReadAll(in)
			if err != nil {
				t.Fatal(err)
			}
			return raw
		}
	}
}

func TestDownloadCompressed(t *testing.T) {
	b := newUploadBench(t)
	path, qcow2 := b.newImage(qcow2Image), qcow2File(t)
	b.put(path+"/file", bytes.NewReader(qcow2)).want(t, 204, "")
	dir := t.TempDir()
	in := filepath.Join(dir, "in.qcow2")
	if err := os.WriteFile(in, qcow2, 0o600); err != nil {
		t.Fatal(err)
	}
	plain := func(_ *testing.T, raw []byte) []byte { return raw }
	for _, c := range []struct {
		query, qemu string
		sized       bool // its length is known before its first byte
		disk        func(*testing.T, []byte) []byte
	}{
		{"qcow2&compression=zlib", "qcow2", true, plain},
		{"qcow2&compression=zstd&cluster_size=4K", "qcow2", true, plain},
		{"vmdk&subformat=streamOptimized", "vmdk", false, plain},
		{"ova", "vmdk", true, func(t *testing.T, raw []byte) []byte { return unpacked(t, bytes.NewReader(raw), ".vmdk") }},
		{"gce", "raw", false, func(t *testing.T, raw []byte) []byte {
			z, err := gzip.NewReader(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			return unpacked(t, z, "disk.raw")[:4<<20] // of a GiB, filled up with zeros
		}},
	} {
		t.Run(c.query, func(t *testing.T) {
			url := path + "/file?disk_format=" + c.query
			res, whole, err := b.get(url)
			if err != nil || res.StatusCode != 200 || res.Header.Get("Accept-Ranges") != "" || (res.ContentLength >= 0) != c.sized || res.Header.Get("Content-MD5") != "" {
				t.Fatalf("%v, %v: %d bytes", res, err, len(whole))
			}
			out := filepath.Join(t.TempDir(), "out")
			if err := os.WriteFile(out, c.disk(t, whole), 0o600); err != nil {
				t.Fatal(err)
			}
			imgtest.QemuImg(t, "compare", "-f", "qcow2", "-F", c.qemu, in, out)
			if c.query == "gce" {
				return // once is enough of a GiB of zeros
			}
			tag := res.Header.Get("ETag")
			part, again, err := b.get(url, "Range", "bytes=100-", "If-Range", tag)
			if err != nil || part.StatusCode != 200 || !bytes.Equal(again, whole) || part.Header.Get("Content-Range") != "" {
				t.Errorf("the second time: %v, %v, %d bytes of %d", part, err, len(again), len(whole))
			}
			b.do("GET", url, "", "If-None-Match", tag).want(t, 304, "")
			b.do("GET", url, "", "If-Match", `"other"`).want(t, 412, errcode.Conflict)
			if head := b.do("HEAD", url, "").want(t, 200, ""); len(head.body) > 0 || head.Header.Get("ETag") != tag {
				t.Errorf("HEAD answers %v", head.Header)
			}
		})
	}
}

// spoil changes bytes of the one stored object.
func (b *uploadBench) spoil(off int64, with []byte) {
	b.t.Helper()
	found := 0
	err := filepath.WalkDir(b.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, "/objects/") {
			return err
		}
		if st, err := d.Info(); err != nil || st.Size() < 1<<20 { // what is beside it
			return err
		}
		if err := os.Chmod(path, 0o600); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		found++
		_, err = f.WriteAt(with, off)
		return errors.Join(err, f.Close())
	})
	if err != nil || found != 1 {
		b.t.Fatalf("%d objects, %v", found, err)
	}
}

// A file that turns out to be another one, or cannot be made to its end, is never taken
// for a whole.
func TestCompressedDownloadBreaksOff(t *testing.T) {
	b := newUploadBench(t)
	path := b.newImage(rawImage)
	b.put(path+"/file", bytes.NewReader(noise(t, 8<<20))).want(t, 204, "")
	url := path + "/file?disk_format=qcow2&compression=zlib"
	if _, _, err := b.get(url); err != nil {
		t.Fatal(err)
	}
	b.spoil(2<<20, make([]byte, 1<<20))
	if res, raw, err := b.get(url); err == nil {
		t.Errorf("of bytes that have changed came %d, as a whole: %v", len(raw), res)
	}
	// What is remembered of the file that was, is forgotten.
	if res, raw, err := b.get(url); err != nil || res.StatusCode != 200 {
		t.Errorf("afterwards: %v, %v, %d bytes", res, err, len(raw))
	}

	b = newUploadBench(t)
	path = b.newImage(qcow2Image)
	dir := t.TempDir()
	raw := noise(t, 32<<20)
	for i := range raw {
		raw[i] &= 0x0f // so that it compresses, to a half
	}
	if err := os.WriteFile(dir+"/raw", raw, 0o600); err != nil {
		t.Fatal(err)
	}
	imgtest.QemuImg(t, "convert", "-c", "-f", "raw", "-O", "qcow2", dir+"/raw", dir+"/q")
	q, err := os.ReadFile(dir + "/q")
	if err != nil {
		t.Fatal(err)
	}
	b.put(path+"/file", bytes.NewReader(q)).want(t, 204, "")
	if res, _, err := b.get(path + "/file?disk_format=vmdk&subformat=streamOptimized"); err != nil || res.ContentLength >= 0 {
		t.Fatal(res, err)
	}
	b.spoil(int64(len(q))*4/5, bytes.Repeat([]byte{0xff}, 256<<10))
	res, part, err := b.get(path + "/file?disk_format=vmdk&subformat=streamOptimized")
	if err == nil || res == nil || res.StatusCode != 200 || len(part) == 0 {
		t.Errorf("got %v, %v, %d bytes; want a part of the file and a broken connection", res, err, len(part))
	}
}

// Faulty conversions begin an answer and have a bug then.
type faulty struct{}

func (faulty) Render(context.Context, []contract.Stored, int64, string, contract.TargetSpec) (Rendering, error) {
	return faultyRendering{}, nil
}

type faultyRendering struct{ Rendering }

func (faultyRendering) Size() int64    { return -1 }
func (faultyRendering) Format() string { return "vmdk" }
func (faultyRendering) Close() error   { return nil }

func (faultyRendering) Stream(w io.Writer, begin func(int64)) error {
	begin(-1)
	_, _ = w.Write(make([]byte, 1<<20))
	panic("a bug")
}

// An answer of unknown length that a bug has cut off does not look whole.
func TestPanicInTheMiddleBreaksTheConnection(t *testing.T) {
	b := newUploadBench(t, func(d *Deps) { d.Converter = faulty{} })
	path := b.newImage(rawImage)
	b.put(path+"/file", bytes.NewReader(make([]byte, 1<<20))).want(t, 204, "")
	if res, raw, err := b.get(path + "/file?disk_format=vmdk"); err == nil {
		t.Errorf("%d bytes came as a whole: %v", len(raw), res)
	}
}

// One project does not keep all others from converting.
func TestConversionsAtOnce(t *testing.T) {
	a := &api{}
	enter := func(project string) (func(), error) {
		r := httptest.NewRequest("GET", "/", nil)
		return a.enterConversion(r.WithContext(identity.With(r.Context(), identity.Caller{Project: project})))
	}
	var leave []func()
	for _, c := range []struct {
		project string
		want    int
	}{{"red", conversionsOfOne}, {"blue", conversionsAtOnce - conversionsOfOne}, {"green", 0}} {
		n := 0
		for {
			out, err := enter(c.project)
			if err != nil {
				if errcode.Of(err) != errcode.TooManyRequests {
					t.Error(err)
				}
				break
			}
			leave = append(leave, out)
			n++
		}
		if n != c.want {
			t.Errorf("%s converts %d at once, want %d", c.project, n, c.want)
		}
	}
	for _, out := range leave {
		out()
	}
	if out, err := enter("green"); err != nil {
		t.Errorf("what has ended keeps its room: %v", err)
	} else if out(); len(a.converting.n)+len(a.convertingOf.n) > 0 {
		t.Errorf("counted still: %v, %v", a.converting.n, a.convertingOf.n)
	}
}
