package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

func TestUploadIsKeptVerbatim(t *testing.T) {
	for _, c := range []struct {
		name, image string
		body        func(*testing.T) []byte
		virtual     int64
	}{
		{"raw", rawImage, func(t *testing.T) []byte { return noise(t, 5<<20+512) }, 5<<20 + 512},
		{"small raw", rawImage, func(t *testing.T) []byte { return noise(t, 512) }, 512},
		{"qcow2", qcow2Image, qcow2File, 4 << 20},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				b := newUploadBench(t)
				path, want := b.newImage(c.image), c.body(t)
				var body io.Reader = bytes.NewReader(want)
				if chunked {
					body = io.MultiReader(body) // hides the length
				}
				b.put(path+"/file", body).want(t, 204, "")
				img := b.image(path)
				sum := sha256.Sum256(want)
				if img.Status != "active" || *img.Size != int64(len(want)) || *img.VirtualSize != c.virtual || img.HashValue != hex.EncodeToString(sum[:]) || img.Checksum == "" {
					t.Errorf("the image is %+v", img)
				}
				if got := b.do("GET", path+"/file", "").want(t, 200, ""); !bytes.Equal(got.body, want) || got.Header.Get("Content-MD5") != img.Checksum {
					t.Errorf("got other bytes back, %v", got.Header)
				}
				if all, err := b.cat.Reservations(t.Context()); err != nil || len(all) > 0 {
					t.Errorf("still promised: %v, %v", all, err)
				}
				b.put(path+"/file", bytes.NewReader(want)).want(t, 409, errcode.Conflict)
			})
		}
	}
}

func TestUploadRefused(t *testing.T) {
	for _, c := range []struct {
		name, image, body string
		header            []string
		status            int
		code              errcode.Code
	}{
		{"other media type", rawImage, "x", []string{"Content-Type", "text/plain"}, 415, errcode.BadRequest},
		{"no format", `{}`, "x", nil, 400, errcode.BadRequest},
		{"unknown store", rawImage, "x", []string{"X-Image-Meta-Store", "nowhere"}, 400, errcode.BadRequest},
		{"another size", rawImage, "12345", []string{"X-Openstack-Image-Size", "6"}, 400, errcode.BadRequest},
		{"another format", rawImage, "QFI\xfb\x00\x00\x00\x03" + strings.Repeat("\x00", 504), nil, 415, errcode.FormatMismatch},
		{"not the format", qcow2Image, strings.Repeat("x", 4096), nil, 415, errcode.FormatUnknown},
		{"a container that is unpacked", `{"disk_format":"raw","container_format":"compressed"}`, "x", nil, 415, errcode.FormatNotAllowed},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newUploadBench(t)
			path := b.newImage(c.image)
			b.put(path+"/file", strings.NewReader(c.body), c.header...).want(t, c.status, c.code)
			b.nothingLeft(path)
		})
	}
}

// A qcow2 whose header is good and whose tables are not is refused although its first
// MiB says nothing against it.
func TestUploadIsCheckedWhole(t *testing.T) {
	b := newUploadBench(t)
	path, bad := b.newImage(qcow2Image), qcow2File(t)
	b.put(path+"/file", bytes.NewReader(bad[:len(bad)-1<<20])).want(t, 415, "")
	b.nothingLeft(path)
}

func TestUploadLimits(t *testing.T) {
	b := newUploadBench(t, func(d *Deps) { d.UploadLimits.Most = 2 << 20 })
	path := b.newImage(rawImage)
	for _, body := range []io.Reader{bytes.NewReader(noise(t, 3<<20)), io.MultiReader(bytes.NewReader(noise(t, 3<<20)))} {
		b.put(path+"/file", body).want(t, 413, errcode.SourceTooLarge)
		b.nothingLeft(path)
	}
}

func TestUploadThatStandsStill(t *testing.T) {
	b := newUploadBench(t, func(d *Deps) { d.UploadLimits.Stall = 3 * time.Second })
	path := b.newImage(rawImage)
	conn := b.begin(t, path+"/file", noise(t, 2<<20))
	defer conn.Close()
	answer := make([]byte, 4096)
	n, _ := conn.Read(answer)
	if got := string(answer[:n]); !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.Contains(got, "UPLOAD_STALLED") {
		t.Errorf("got %q", got)
	}
	b.nothingLeft(path)
}

func TestUploadWhoseClientGoesAway(t *testing.T) {
	for _, at := range []string{"/file", "/stage"} {
		b := newUploadBench(t, func(d *Deps) { d.UploadLimits.Stall = time.Minute })
		path := b.newImage(rawImage)
		conn := b.begin(t, path+at, noise(t, 3<<20))
		b.saving(path, map[string]string{"/file": "saving", "/stage": "uploading"}[at])
		b.put(path+"/file", strings.NewReader("x")).want(t, 409, errcode.Conflict)
		b.put(path+"/stage", strings.NewReader("x")).want(t, 409, errcode.Conflict)
		conn.Close()
		b.nothingLeft(path)
	}
}

func TestImageIsDeletedDuringItsUpload(t *testing.T) {
	b := newUploadBench(t, func(d *Deps) { d.UploadLimits.Stall = time.Minute })
	path := b.newImage(rawImage)
	rest, send := io.Pipe()
	done := make(chan answer)
	go func() { done <- b.put(path+"/file", rest) }()
	if _, err := send.Write(noise(t, 2<<20)); err != nil {
		t.Fatal(err)
	}
	b.saving(path, "saving")
	b.do("DELETE", path, "").want(t, 204, "")
	go func() { send.Write(noise(t, 1<<20)); time.Sleep(200 * time.Millisecond); send.Close() }()
	(<-done).want(t, 410, errcode.Gone)
	for o, err := range b.store.Objects(t.Context()) {
		t.Errorf("left in the store: %v, %v", o, err)
	}
}

func TestUploadsAtOnce(t *testing.T) {
	b := newUploadBench(t, func(d *Deps) { d.UploadLimits = UploadLimits{PerProject: 1, Stall: time.Minute} })
	first, second := b.newImage(rawImage), b.newImage(rawImage)
	conn := b.begin(t, first+"/file", noise(t, 3<<20))
	defer conn.Close()
	b.saving(first, "saving")
	if a := b.put(second+"/file", strings.NewReader("x")).want(t, 429, errcode.UploadsAtOnce); a.Header.Get("Retry-After") == "" {
		t.Error("nothing says when to try again")
	}
}

// A check that takes longer than a client may stand still does not end the connection for
// the requests behind it.
func TestConnectionIsGoodBehindASlowUpload(t *testing.T) {
	b := newUploadBench(t, func(d *Deps) {
		d.UploadLimits.Stall = 2 * time.Second
		d.Uploads = slowUploads{d.Uploads, 3 * time.Second}
	})
	path := b.newImage(rawImage)
	conn := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	send := func(method, path string, body []byte) int {
		r, err := http.NewRequest(method, b.url+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/octet-stream")
		res, err := conn.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode
	}
	if got := send("PUT", path+"/file", noise(t, 1<<20)); got != 204 {
		t.Fatalf("the upload is answered with %d", got)
	}
	if got := send("GET", path, nil); got != 200 {
		t.Errorf("behind it, the image is answered with %d", got)
	}
}

// slowUploads takes its time once all bytes are there.
type slowUploads struct {
	Uploads
	takes time.Duration
}

func (s slowUploads) Save(ctx context.Context, u contract.Upload, body io.Reader, reach func(int64) error) (contract.Uploaded, error) {
	out, err := s.Uploads.Save(ctx, u, body, reach)
	time.Sleep(s.takes)
	return out, err
}
