package e2e

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"ingest/internal/imgtest"
)

const mib = 1 << 20

// disk writes a raw disk of size bytes that is full of data, half of which
// compresses, but for its last sixteenth.
func disk(t testing.TB, seed uint64, size int64) string {
	t.Helper()
	var runs []imgtest.Run
	kinds := [...]imgtest.Kind{imgtest.Noise, imgtest.Text}
	for off, i := int64(0), 0; off < size/16*15; i++ {
		n := min(mib+512*int64(i%7), size/16*15-off)
		runs = append(runs, imgtest.Run{Off: off, Len: n, Kind: kinds[i%2]})
		off += n
	}
	return imgtest.WriteRaw(t, imgtest.New(size, seed, runs...))
}

// contentOf returns the content digest that `ingest digest` prints of a raw
// disk.
func contentOf(t testing.TB, raw string) string {
	t.Helper()
	got := ingest(t, "digest", raw, "--json")
	var out struct {
		ContentDigest string `json:"content_digest"`
	}
	if got.code != 0 || json.Unmarshal([]byte(got.stdout), &out) != nil || out.ContentDigest == "" {
		t.Fatalf("digest %s: %+v", filepath.Base(raw), got)
	}
	return out.ContentDigest
}
