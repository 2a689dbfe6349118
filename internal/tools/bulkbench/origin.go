package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"
)

// diskSize is the size of each disk: so small that all the work is around its bytes.
const diskSize = 64 << 10

// An origin serves raw disks, each of other bytes, which are made when they are asked for.
type origin struct{ *httptest.Server }

func newOrigin() *origin {
	made := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return &origin{httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), ".raw")
		n, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", `"`+name+`"`)
		http.ServeContent(w, r, "", made, bytes.NewReader(disk(n)))
	}))}
}

// disk is the numbered disk: its second sector tells it from the others, a quarter of it
// is data.
func disk(n uint64) []byte {
	out := make([]byte, diskSize)
	for at := 512; at < diskSize/4; at += 16 {
		binary.LittleEndian.PutUint64(out[at:], n)
		binary.LittleEndian.PutUint64(out[at+8:], uint64(at)*0x9e3779b97f4a7c15)
	}
	return out
}

// manifest lists n disks, the first of which is numbered first.
func (o *origin) manifest(first, n, window int) ([]byte, error) {
	type source struct {
		URL string `json:"url"`
	}
	type item struct {
		Source source `json:"source"`
	}
	items := make([]item, n)
	for i := range items {
		items[i].Source.URL = fmt.Sprintf("%s/%d.raw", o.URL, first+i)
	}
	return json.Marshal(map[string]any{"limits": map[string]int{"concurrency": window}, "items": items})
}
