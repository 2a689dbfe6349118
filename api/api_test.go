package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/metadata/sqlite"
	"ingest/pipeline"
)

// script is Imports that does as it is told and remembers what it was asked.
type script struct {
	mu        sync.Mutex
	startErr  error
	cancelErr error
	progress  func(metadata.Task) (contract.Progress, error)
	started   []contract.ImportRequest
	workflows []string
	cancelled []string
	steerErr  error
	steered   []contract.Control
}

func (s *script) Steer(_ context.Context, _ string, c contract.Control) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steered = append(s.steered, c)
	return s.steerErr
}

func (s *script) Start(_ context.Context, req contract.ImportRequest, workflowID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started, s.workflows = append(s.started, req), append(s.workflows, workflowID)
	return s.startErr
}

func (s *script) Cancel(_ context.Context, workflowID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancelled = append(s.cancelled, workflowID)
	return s.cancelErr
}

func (s *script) Progress(_ context.Context, t metadata.Task) (contract.Progress, error) {
	if s.progress == nil {
		return contract.Progress{}, errcode.New(errcode.WorkflowService, "away")
	}
	return s.progress(t)
}

// blobs keeps objects in memory.
type blobs struct {
	mu   sync.Mutex
	data map[string][]byte
	cut  int // bytes after which reading breaks off, 0 for never
}

func (b *blobs) OpenRange(_ context.Context, store, key string, off, n int64) (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	raw, ok := b.data[store+"/"+key]
	if !ok {
		return nil, errcode.New(errcode.NotFound, "no object %s", key)
	}
	raw = raw[off:]
	if n >= 0 {
		raw = raw[:n]
	}
	if b.cut > 0 {
		return io.NopCloser(io.MultiReader(bytes.NewReader(raw[:b.cut]), badReader{})), nil
	}
	return io.NopCloser(bytes.NewReader(raw)), nil
}

type badReader struct{}

func (badReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (b *blobs) Delete(_ context.Context, store, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.data, store+"/"+key)
	return nil
}

// bench is an API over a real catalogue.
type bench struct {
	t       testing.TB
	cat     *metadata.Catalogue
	imports *script
	blobs   *blobs
	handler http.Handler
}

func newBench(t testing.TB, adjust ...func(*Deps)) *bench {
	t.Helper()
	repo, err := sqlite.Open(sqlite.Memory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	// Every moment is a later one, so that lists have one order.
	var mu sync.Mutex
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
	b := &bench{t: t, cat: metadata.New(repo, metadata.WithClock(clock)), imports: &script{}, blobs: &blobs{data: map[string][]byte{}}}
	d := Deps{Catalogue: b.cat, Imports: b.imports, Blobs: b.blobs, Stores: []string{"local"}, DefaultStore: "local", Version: "1.2.3", Log: zerolog.Nop(),
		Defaults: Defaults{
			Targets: []wire.Target{{Name: "raw"}, {Name: "qcow2", Options: []wire.TargetOption{{Name: "compression", Takes: "none, zlib, zstd"}}}},
			Presets: []wire.Preset{{Name: "openstack", Format: "qcow2"}},
			Resolve: pipeline.CheckTarget,
		}}
	for _, f := range adjust {
		f(&d)
	}
	b.handler = New(d)
	return b
}

// An answer is what a request got.
type answer struct {
	*http.Response
	body []byte
}

// do sends a request. header holds pairs of names and values.
func (b *bench) do(method, path, body string, header ...string) answer {
	b.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return answer{w.Result(), w.Body.Bytes()}.conform(b.t, method, strings.TrimPrefix(path, "http://localhost"))
}

// want checks the status, and that an error is whole.
func (a answer) want(t testing.TB, status int, code errcode.Code) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("got %d, want %d: %s", a.StatusCode, status, a.body)
	}
	if code == "" {
		return a
	}
	var e wire.ErrorBody
	a.into(t, &e)
	if e.Error.Code != code {
		t.Fatalf("got code %s, want %s: %s", e.Error.Code, code, a.body)
	}
	if e.Message == "" || !strings.HasPrefix(e.Code, itoa(status)+" ") || e.Title == "" || e.Error.Remedy == "" || e.Error.Message != e.Message {
		t.Fatalf("the error is not whole: %s", a.body)
	}
	return a
}

func (a answer) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

func itoa(n int) string {
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}

// submit asks for an import and returns its ids.
func (b *bench) submit(body string, header ...string) wire.Submitted {
	b.t.Helper()
	var out wire.Submitted
	b.do("POST", "/v1/imports", body, header...).want(b.t, 202, "").into(b.t, &out)
	return out
}

const someImport = `{"source":{"url":"https://example.org/disk.vmdk"},"image":{"name":"disk"}}`

// finish brings a task to its good end, with data as the image's bytes.
func (b *bench) finish(s wire.Submitted, data []byte) {
	b.t.Helper()
	ctx := context.Background()
	if err := b.cat.Start(ctx, s.TaskID); err != nil {
		b.t.Fatal(err)
	}
	key := s.ImageID + "/upload"
	b.blobs.data["local/"+key] = data
	res, err := json.Marshal(contract.ImportResult{TaskID: s.TaskID, Images: []contract.ImageResult{{ImageID: s.ImageID, DiskFormat: "qcow2", Size: int64(len(data))}}})
	if err != nil {
		b.t.Fatal(err)
	}
	err = b.cat.Activate(ctx, metadata.Activation{TaskID: s.TaskID, Result: res, Images: []metadata.ImageActivation{{
		ImageID: s.ImageID, DiskFormat: "qcow2", Size: int64(len(data)), VirtualSize: 1 << 20,
		HashAlgo: "sha512", HashValue: "abc123", ContentDigest: "digest", Store: "local", Key: key,
	}}})
	if err != nil {
		b.t.Fatal(err)
	}
}
