package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ingest/internal/bulk"
)

// TestOrigin reads a disk by the manifest that names it: its bytes are no other disk's.
func TestOrigin(t *testing.T) {
	o := newOrigin()
	defer o.Close()
	text, err := o.manifest(7, 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	m, err := bulk.ParseJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	_, items, err := m.Bulk(bulk.Submission{ID: "b", Owner: "p", WorkflowID: "w"})
	if err != nil || len(items) != 3 {
		t.Fatalf("%d items, %v", len(items), err)
	}
	for _, it := range items {
		if it.SameAs > 0 {
			t.Errorf("item %d is taken for item %d", it.N, it.SameAs)
		}
	}
	res, err := http.Get(o.URL + "/8.raw")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil || !bytes.Equal(got, disk(8)) || bytes.Equal(got, disk(9)) || len(got) != diskSize {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if res, err := http.Get(o.URL + "/none"); err != nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("a disk that there is not: %v, %v", res, err)
	} else {
		res.Body.Close()
	}
}

func TestVerdict(t *testing.T) {
	slow, fast := cost{Temporal: 2 * time.Second, Worker: time.Second}, cost{Temporal: time.Second, Worker: time.Second}
	if r := ratio(slow, fast); r != 1.5 {
		t.Errorf("ratio %v", r)
	}
	for _, c := range []struct {
		ratios []float64
		want   string
	}{{[]float64{1.2, 9, 1.5}, "- 1.50 of x (at most 1.5: within)"}, {[]float64{1.4, 1.8}, "- 1.60 of x (at most 1.5: over)"}} {
		var out strings.Builder
		b := &bench{out: &out}
		b.verdict(c.ratios, "x")
		if got := strings.TrimSpace(out.String()); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestPart spreads local activities over the others, and loses none.
func TestPart(t *testing.T) {
	for n := range 20 {
		sum := 0
		for i := range 8 {
			sum += part(n, i, 8)
		}
		if sum != n {
			t.Errorf("%d of %d are run", sum, n)
		}
	}
}

func TestHistories(t *testing.T) {
	all := []history{{10, 500}, {30, 400}}
	if largest(all) != (history{30, 500}) || sum(all) != (history{40, 900}) {
		t.Errorf("largest %+v, sum %+v", largest(all), sum(all))
	}
}
