package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"ingest/api/wire"
	"ingest/formats"
	"ingest/formats/readers"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/metadata"
	"ingest/metadata/sqlite"
	"ingest/pipeline"
	"ingest/stores"
	"ingest/stores/fs"
)

// uploadBench is a bench whose uploads go through a real pipeline into a real store,
// and whose requests come over a real connection.
type uploadBench struct {
	*bench
	url     string
	store   *fs.Store
	root    string // of the store
	staging string
}

func newUploadBench(t *testing.T, adjust ...func(*Deps)) *uploadBench {
	t.Helper()
	root := t.TempDir()
	store, err := fs.Open(root, "local")
	if err != nil {
		t.Fatal(err)
	}
	b := &uploadBench{store: store, root: root, staging: t.TempDir()}
	all := map[string]stores.Store{"local": store}
	pipe := &pipeline.Pipeline{Readers: readers.All(), Stores: all, DefaultStore: "local", StagingDir: b.staging, HostQueue: "ingest-host-a", MD5: true, Limits: formats.DefaultLimits()}
	b.bench = newBench(t, append([]func(*Deps){func(d *Deps) {
		d.Uploads, d.Blobs, d.Converter = pipe, Stores(all), renderer{pipe}
		d.UploadLimits = UploadLimits{Stall: 300 * time.Millisecond, Keep: 20 * time.Millisecond}
	}}, adjust...)...)
	srv := httptest.NewServer(b.handler)
	t.Cleanup(srv.Close)
	b.url = srv.URL
	return b
}

// put sends a body as it comes: without a length, unless it is in memory.
func (b *uploadBench) put(path string, body io.Reader, header ...string) answer {
	b.t.Helper()
	r, err := http.NewRequest("PUT", b.url+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{res, raw}
}

func (b *uploadBench) image(path string) wire.Image {
	b.t.Helper()
	var img wire.Image
	b.do("GET", path, "").want(b.t, 200, "").into(b.t, &img)
	return img
}

// nothingLeft checks that the store and the staging folder hold nothing, that nothing
// is promised, and that the image is as it was.
func (b *uploadBench) nothingLeft(path string) {
	b.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for b.image(path).Status != "queued" && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if img := b.image(path); img.Status != "queued" || img.Size != nil {
		b.t.Errorf("the image is %s", img.Status)
	}
	for u, err := range b.store.Uploads(b.t.Context(), time.Now().Add(time.Hour)) {
		b.t.Errorf("left in the store: %v, %v", u, err)
	}
	for o, err := range b.store.Objects(b.t.Context()) {
		b.t.Errorf("left in the store: %v, %v", o, err)
	}
	if list, err := os.ReadDir(b.staging); err != nil || len(list) > 0 {
		b.t.Errorf("left in staging: %v, %v", list, err)
	}
	if all, err := b.cat.Reservations(b.t.Context()); err != nil || len(all) > 0 {
		b.t.Errorf("still promised: %v, %v", all, err)
	}
}

const (
	rawImage   = `{"disk_format":"raw","container_format":"bare"}`
	qcow2Image = `{"disk_format":"qcow2","container_format":"bare"}`
)

// noise is n bytes of a disk that no format claims.
func noise(t *testing.T, n int64) []byte {
	t.Helper()
	d := imgtest.New(n, 7, imgtest.Run{Off: 0, Len: n / 2, Kind: imgtest.Noise})
	out := make([]byte, n)
	imgtest.ReadFull(t, d, out, 0)
	return out
}

func qcow2File(t *testing.T) []byte {
	t.Helper()
	raw, err := os.ReadFile(imgtest.Convert(t, imgtest.WriteRaw(t, imgtest.New(4<<20, 3, imgtest.Run{Off: 1 << 20, Len: 2 << 20, Kind: imgtest.Noise})), "raw", "qcow2"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

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
	b := newUploadBench(t)
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

// begin sends a part of a longer body over a connection of its own.
func (b *uploadBench) begin(t *testing.T, path string, part []byte) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(conn, "PUT "+path+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 9999999\r\n\r\n")
	_, err2 := conn.Write(part)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return conn
}

func (b *uploadBench) saving(path, status string) {
	b.t.Helper()
	for range 500 {
		if b.image(path).Status == status {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.t.Fatalf("the image is %s, want %s", b.image(path).Status, status)
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

func TestStageAndImport(t *testing.T) {
	b := newUploadBench(t)
	path := b.newImage(qcow2Image)
	direct := `{"method":{"name":"glance-direct"}}`
	b.do("POST", path+"/import", direct).want(t, 409, errcode.Conflict)
	b.put(path+"/stage", bytes.NewReader(qcow2File(t))).want(t, 204, "")
	if got := b.image(path).Status; got != "uploading" {
		t.Fatalf("the image is %s", got)
	}
	b.put(path+"/stage", strings.NewReader("x")).want(t, 409, errcode.Conflict)
	b.do("POST", path+"/import", `{"method":{"name":"web-download","uri":"https://example.org/x"}}`).want(t, 409, errcode.Conflict)
	for range 2 { // the answer may have been lost
		b.do("POST", path+"/import", direct).want(t, 202, "")
	}
	tasks, err := b.cat.Tasks(t.Context(), metadata.TaskFilter{})
	if err != nil || len(tasks) != 1 {
		t.Fatalf("%d tasks, %v", len(tasks), err)
	}
	queue, id, ok := contract.ParseStagedURL(b.imports.started[0].Source.URL)
	if !ok || queue != "ingest-host-a" || id != tasks[0].ID {
		t.Errorf("the source is %q", b.imports.started[0].Source.URL)
	}
	if err := b.cat.Fail(t.Context(), id, metadata.TaskError{Code: errcode.TaskCancelled, Message: "no"}); err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(b.staging + "/" + id) // as the import's clean-up does
	b.nothingLeft(path)
}

func TestStagedImageIsDeleted(t *testing.T) {
	b := newUploadBench(t)
	path := b.newImage(rawImage)
	b.put(path+"/stage", bytes.NewReader(noise(t, 1<<20))).want(t, 204, "")
	b.do("DELETE", path, "").want(t, 204, "")
	if list, err := os.ReadDir(b.staging); err != nil || len(list) > 0 {
		t.Errorf("left in staging: %v, %v", list, err)
	}
}

// Nobody but the server names what was staged.
func TestStagedURLIsNotForClients(t *testing.T) {
	b := newUploadBench(t)
	for _, url := range []string{"staged://ingest-host-a/11111111-1111-4111-8111-111111111111", "STAGED://a/b"} {
		b.do("POST", "/v1/imports", `{"source":{"url":"`+url+`"}}`).want(t, 400, errcode.SourceScheme)
		b.do("POST", b.newImage(rawImage)+"/import", `{"method":{"name":"web-download","uri":"`+url+`"}}`).want(t, 400, errcode.SourceScheme)
	}
}

// An import of another cloud's image reads the region that the operator has named, and
// no place that a client names.
func TestImportOfAnotherRegion(t *testing.T) {
	b := newUploadBench(t, func(d *Deps) {
		d.Defaults.Schemes = []string{"https", "glance"}
		d.Regions = map[string]Region{
			"north": {URL: "http://image.north.example:9292/v"},
			"south": {Credential: "south-cloud"},
		}
	})
	const id = "9f3c6f0a-5f38-4a8e-9d5b-0b9f0f4f7a11"
	for _, c := range []struct {
		name, method string
		status       int
		code         errcode.Code
		url, with    string
	}{
		{"by URL", `"glance_region":"north","glance_image_id":"` + id + `"`, 202, "", "glance://image.north.example:9292/v/" + id + "?scheme=http", ""},
		{"by credential", `"glance_region":"south","glance_image_id":"` + id + `","glance_service_interface":"internal"`, 202, "", "glance:///" + id + "?interface=internal&region=south", "south-cloud"},
		{"no region", `"glance_image_id":"` + id + `"`, 400, errcode.BadRequest, "", ""},
		{"an unknown region", `"glance_region":"west","glance_image_id":"` + id + `"`, 400, errcode.BadRequest, "", ""},
		{"no id", `"glance_region":"north"`, 400, errcode.BadRequest, "", ""},
		{"a name", `"glance_region":"north","glance_image_id":"../../secret"`, 400, errcode.BadRequest, "", ""},
		{"another interface", `"glance_region":"north","glance_image_id":"` + id + `","glance_service_interface":"private"`, 400, errcode.BadRequest, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := b.newImage(rawImage)
			b.do("POST", path+"/import", `{"method":{"name":"glance-download",`+c.method+`}}`).want(t, c.status, c.code)
			if c.status != 202 {
				return
			}
			if got := b.imports.started[len(b.imports.started)-1].Source; got.URL != c.url || got.Credential != c.with || got.Format != "raw" {
				t.Errorf("the source is %+v", got)
			}
		})
	}
}

func TestImportMethods(t *testing.T) {
	b := newUploadBench(t, func(d *Deps) { d.Methods = []string{"web-download", "copy-image"} })
	got := b.do("POST", "/v2/images", rawImage).want(t, 201, "").Header.Get("OpenStack-image-import-methods")
	if got != "web-download" {
		t.Errorf("the methods are %q", got)
	}
	path := b.newImage(rawImage)
	b.put(path+"/stage", strings.NewReader("x")).want(t, 404, errcode.NotFound)
	b.do("POST", path+"/import", `{"method":{"name":"glance-direct"}}`).want(t, 400, errcode.BadRequest)
}

// viewed is a database of which a test changes the transactions that write.
type viewed struct{ metadata.Repository }

func (v viewed) View(ctx context.Context, fn func(metadata.Tx) error) error {
	return v.Repository.(metadata.Viewer).View(ctx, fn)
}

// unsure is a database that loses one answer: it has committed, and nobody knows.
type unsure struct {
	viewed
	lose func(ctx context.Context) bool // asked behind each transaction
}

func (u unsure) InTx(ctx context.Context, fn func(metadata.Tx) error) error {
	err := u.Repository.InTx(ctx, fn)
	if err == nil && u.lose(ctx) {
		err = errcode.New(errcode.CatalogueBusy, "the connection to the database was lost in a commit")
	}
	return err
}

func unsureCatalogue(t *testing.T, lose func(context.Context, *metadata.Catalogue) bool) (*metadata.Catalogue, func(*Deps)) {
	t.Helper()
	repo, err := sqlite.Open(sqlite.Memory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	var once sync.Once
	plain := metadata.New(repo)
	cat := metadata.New(unsure{viewed{repo}, func(ctx context.Context) (lost bool) {
		if lose(ctx, plain) {
			once.Do(func() { lost = true })
		}
		return lost
	}})
	return plain, func(d *Deps) { d.Catalogue = cat }
}

// The bytes of an image that became active are not removed because the answer of the
// database, and not the transaction, was lost.
func TestUploadWhoseEndIsRecordedAndNotAnswered(t *testing.T) {
	cat, lossy := unsureCatalogue(t, func(ctx context.Context, c *metadata.Catalogue) bool {
		list, err := c.Images(ctx, metadata.ImageFilter{})
		return err == nil && len(list) == 1 && list[0].Status == metadata.ImageActive
	})
	b := newUploadBench(t, lossy)
	b.cat = cat
	path := b.newImage(rawImage)
	sent := noise(t, 2<<20)
	b.put(path+"/file", bytes.NewReader(sent)).want(t, 204, "")
	if got := b.do("GET", path+"/file", "").want(t, 200, "").body; !bytes.Equal(got, sent) {
		t.Errorf("the image has %d other bytes, want those that were sent", len(got))
	}
}

// What was staged, and not said to be, is not left as an upload without its bytes.
func TestStagingWhoseEndIsRecordedAndNotAnswered(t *testing.T) {
	cat, lossy := unsureCatalogue(t, func(ctx context.Context, c *metadata.Catalogue) bool {
		all, err := c.Reservations(ctx)
		return err == nil && len(all) == 1 && all[0].Key == metadata.StagedWhole
	})
	b := newUploadBench(t, lossy)
	b.cat = cat
	path := b.newImage(rawImage)
	b.put(path+"/stage", bytes.NewReader(noise(t, 2<<20))).want(t, 503, errcode.CatalogueBusy)
	b.nothingLeft(path)
}

// slowBegin is a database that lets others at an image before an upload takes it.
type slowBegin struct {
	viewed
	before func()
}

func (s slowBegin) InTx(ctx context.Context, fn func(metadata.Tx) error) error {
	s.before()
	return s.Repository.InTx(ctx, fn)
}

// What was checked as a raw disk does not become a qcow2 by a patch that comes between
// the upload's look at the image and its begin.
func TestFormatIsChangedAsTheUploadBegins(t *testing.T) {
	repo, err := sqlite.Open(sqlite.Memory)
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	plain, armed := metadata.New(repo), false
	b := newUploadBench(t, func(d *Deps) {
		d.Catalogue = metadata.New(slowBegin{viewed{repo}, func() {
			if !armed {
				return
			}
			armed = false
			list, err := plain.Images(t.Context(), metadata.ImageFilter{})
			if err != nil || len(list) != 1 {
				t.Errorf("%d images, %v", len(list), err)
				return
			}
			if _, err := plain.UpdateImage(t.Context(), list[0].ID, func(img *metadata.Image) error { img.DiskFormat = "qcow2"; return nil }); err != nil {
				t.Error(err)
			}
		}})
	})
	b.cat = plain
	path := b.newImage(rawImage)
	armed = true
	b.put(path+"/file", bytes.NewReader(noise(t, 1<<20))).want(t, 409, errcode.Conflict)
	b.nothingLeft(path)
}
