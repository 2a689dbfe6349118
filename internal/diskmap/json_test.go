package diskmap

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/formats"
)

func TestJSON(t *testing.T) {
	head := Head{Source: "a \"b\"\n", Format: "qcow2", Subformat: "v3", Size: 8192, FileSize: 99, HolesKnown: true}
	extents := laid(8192, plain(1024, 0), packed(512), zeros(512), plain(2048, 4096))
	for _, summary := range []bool{false, true} {
		var out bytes.Buffer
		if err := WriteJSON(&out, head, seq(extents...), summary); err != nil {
			t.Fatal(err)
		}
		name := map[bool]string{false: "full.json", true: "summary.json"}[summary]
		golden(t, name, out.String())
		var got struct {
			Source  string
			Extents []map[string]any
			Totals  map[string]map[string]float64
		}
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Source != head.Source || got.Totals["data"]["bytes"] != 3072 || got.Totals["hole"]["percent"] != 50 {
			t.Errorf("got %+v", got)
		}
		if summary {
			if got.Extents != nil {
				t.Errorf("extents in a summary: %v", got.Extents)
			}
			continue
		}
		want := []map[string]any{
			{"offset": 0.0, "length": 1024.0, "state": "data", "compressed": false, "host_offset": 0.0},
			{"offset": 1024.0, "length": 512.0, "state": "data", "compressed": true},
			{"offset": 1536.0, "length": 512.0, "state": "zero", "compressed": false},
			{"offset": 2048.0, "length": 2048.0, "state": "data", "compressed": false, "host_offset": 4096.0},
			{"offset": 4096.0, "length": 4096.0, "state": "hole", "compressed": false},
		}
		if diff := cmp.Diff(want, got.Extents); diff != "" {
			t.Error(diff)
		}
	}
}

// meter counts what is written, and fails after limit bytes.
type meter struct{ n, limit int }

var errFull = errors.New("full")

func (m *meter) Write(p []byte) (int, error) {
	if m.n += len(p); m.n > m.limit {
		return 0, errFull
	}
	return len(p), nil
}

// TestJSONStreams: extents leave as they come, and a reader that has gone ends
// the walk.
func TestJSONStreams(t *testing.T) {
	const count = 20_000
	out, given := &meter{limit: 1 << 30}, 0
	extents := func(yield func(formats.Extent, error) bool) {
		for i := range int64(count) {
			if given++; given == count && out.n < count*40 {
				t.Errorf("only %d bytes written before the last extent", out.n)
			}
			if !yield(formats.Extent{Off: i * 512, Len: 512, HostOff: -1}, nil) {
				return
			}
		}
	}
	if err := WriteJSON(out, Head{Size: count * 512}, extents, false); err != nil || given != count {
		t.Fatalf("%d extents, %v", given, err)
	}
	out.n, out.limit, given = 0, 10_000, 0
	if err := WriteJSON(out, Head{Size: count * 512}, extents, false); !errors.Is(err, errFull) || given > 1000 {
		t.Errorf("%d extents, %v", given, err)
	}
}
