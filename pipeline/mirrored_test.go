package pipeline_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/sources/sourcetest"
)

// TestStagedFromMirrors stages a source of three places. One of them serves another
// version from the begin, one dies in the middle; one attempt is cut off and another
// goes on.
func TestStagedFromMirrors(t *testing.T) {
	content := sourcetest.Content(48<<20+1, 51)
	good := &meteredSite{content: content, tag: `"good"`, full: make(chan struct{}, 1)}
	dying := &meteredSite{content: content, tag: `"dying"`, full: make(chan struct{}, 1)}
	other := &meteredSite{content: sourcetest.Content(48<<20+1, 52), tag: `"good"`, full: make(chan struct{}, 1)}
	a, b, c := httptest.NewServer(dying), httptest.NewServer(good), httptest.NewServer(other)
	defer a.Close()
	defer b.Close()
	defer c.Close()
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	dir := t.TempDir()
	p := loopbackPipeline(dir)
	f := contract.FetchParams{TaskID: uuid.NewString(), Source: contract.SourceSpec{
		URL: a.URL + "/disk.raw", Mirrors: []string{b.URL + "/disk.raw", c.URL + "/disk.raw"}, Checksum: sum, Format: "raw",
	}}
	var died atomic.Bool
	got, err := p.Fetch(t.Context(), f, func(done, _ int64, _ []byte) {
		if done > 16<<20 && !died.Swap(true) {
			a.CloseClientConnections()
			go a.Close()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.SourceDigest != sum || len(got.Notes) == 0 || got.Mirrors == "" {
		t.Errorf("fetched %s, notes %q, want %s and a note of the other version", got.SourceDigest, got.Notes, sum)
	}
	staged, err := os.ReadFile(filepath.Join(dir, f.TaskID, "source"))
	if err != nil || !bytes.Equal(staged, content) {
		t.Errorf("the %d staged bytes are not the source's, %v", len(staged), err)
	}
	if good.sent.Load() == 0 {
		t.Error("the mirror was never asked")
	}
}

// Places that agree in the spots that are compared may differ elsewhere; where nobody
// has a digest, that is said.
func TestMirrorsWithoutADigestAreWarnedOf(t *testing.T) {
	content := sourcetest.Content(3<<20, 54)
	var urls []string
	for range 2 {
		srv := httptest.NewServer(&meteredSite{content: content, tag: `"one"`, full: make(chan struct{}, 1)})
		defer srv.Close()
		urls = append(urls, srv.URL+"/disk.raw")
	}
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	for _, tt := range []struct {
		mirrors  []string
		checksum string
		warned   bool
	}{{urls[1:], "", true}, {urls[1:], sum, false}, {nil, "", false}} {
		f := contract.FetchParams{TaskID: uuid.NewString(), Source: contract.SourceSpec{URL: urls[0], Mirrors: tt.mirrors, Checksum: tt.checksum, Format: "raw"}}
		got, err := loopbackPipeline(t.TempDir()).Fetch(t.Context(), f, nil)
		if err != nil {
			t.Fatal(err)
		}
		if warned := strings.Contains(strings.Join(got.Notes, "\n"), "in spots alone"); warned != tt.warned {
			t.Errorf("%d mirrors, digest %q: notes %q", len(tt.mirrors), tt.checksum, got.Notes)
		}
	}
}

// TestAnotherHostGoesOn stages on a folder that hosts share. What the first host's
// journal says is worth nothing to the second, which goes on at the sidecar; and a
// damaged journal is as good as none.
func TestAnotherHostGoesOn(t *testing.T) {
	content := sourcetest.Content(64<<20, 53)
	site := &meteredSite{content: content, tag: `"one"`, full: make(chan struct{}, 1)}
	srv := httptest.NewServer(site)
	defer srv.Close()
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	dir := t.TempDir()
	f := contract.FetchParams{TaskID: uuid.NewString(), Source: contract.SourceSpec{URL: srv.URL + "/disk.raw", Checksum: sum, Format: "raw"}}
	journal := filepath.Join(dir, f.TaskID, "source.now.json")
	for _, damage := range []func(text []byte) []byte{
		func(text []byte) []byte {
			var j map[string]any
			if err := json.Unmarshal(text, &j); err != nil {
				t.Fatal(err)
			}
			j["boot"] = "of another host"
			out, _ := json.Marshal(j)
			return out
		},
		func(text []byte) []byte { return text[:len(text)/2] },
	} {
		before := site.sent.Load()
		site.most.Store(before + 40<<20)
		first := loopbackPipeline(dir)
		first.CheckpointEvery = 1
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		go func() {
			defer cancel()
			select {
			case <-site.full: // or it was so of the round before
				eventually(func() bool { _, err := os.Stat(journal); return err == nil || ctx.Err() != nil })
			case <-ctx.Done():
			}
		}()
		_, err := first.Fetch(ctx, f, nil)
		cancel()
		if err == nil {
			t.Fatal("the first host was not cut off")
		}
		text, err := os.ReadFile(journal)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(journal, damage(text), 0o600); err != nil {
			t.Fatal(err)
		}
		site.most.Store(0)
		second := loopbackPipeline(dir)
		second.Anywhere = true
		got, err := second.Fetch(t.Context(), f, nil)
		if err != nil || got.SourceDigest != sum || got.Queue != "" {
			t.Errorf("the second host: %s, queue %q, %v (%s)", got.SourceDigest, got.Queue, err, errcode.Of(err))
		}
		staged, err := os.ReadFile(filepath.Join(dir, f.TaskID, "source"))
		if err != nil || !bytes.Equal(staged, content) {
			t.Errorf("the %d staged bytes are not the source's, %v", len(staged), err)
		}
		if sent := site.sent.Load() - before; sent > 64<<20+48<<20 {
			t.Errorf("%d bytes were sent for 64 MiB", sent)
		}
		if err := os.RemoveAll(filepath.Join(dir, f.TaskID)); err != nil {
			t.Fatal(err)
		}
	}
}
