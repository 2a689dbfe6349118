package api

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"ingest/api/wire"
	"ingest/formats"
	"ingest/formats/readers"
	"ingest/internal/imgtest"
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
		d.UploadLimits = UploadLimits{Stall: time.Minute, Keep: 20 * time.Millisecond}
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
// is promised, and that the image is as it was. Behind a client that has gone this comes
// about step by step, the image first.
func (b *uploadBench) nothingLeft(path string) {
	b.t.Helper()
	left := b.left(path)
	for until := time.Now().Add(30 * time.Second); len(left) > 0 && time.Now().Before(until); left = b.left(path) {
		time.Sleep(10 * time.Millisecond)
	}
	for _, what := range left {
		b.t.Error(what)
	}
}

// left says what an upload has not given back.
func (b *uploadBench) left(path string) (out []string) {
	b.t.Helper()
	if img := b.image(path); img.Status != "queued" || img.Size != nil {
		out = append(out, "the image is "+img.Status)
	}
	for u, err := range b.store.Uploads(b.t.Context(), time.Now().Add(time.Hour)) {
		out = append(out, fmt.Sprintf("left in the store: %v, %v", u, err))
	}
	for o, err := range b.store.Objects(b.t.Context()) {
		out = append(out, fmt.Sprintf("left in the store: %v, %v", o, err))
	}
	if list, err := os.ReadDir(b.staging); err != nil || len(list) > 0 {
		out = append(out, fmt.Sprintf("left in staging: %v, %v", list, err))
	}
	if all, err := b.cat.Reservations(b.t.Context()); err != nil || len(all) > 0 {
		out = append(out, fmt.Sprintf("still promised: %v, %v", all, err))
	}
	return out
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
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if b.image(path).Status == status {
			return
		}
	}
	b.t.Fatalf("the image is %s, want %s", b.image(path).Status, status)
}
