package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingest/internal/fsutil"
)

func TestDiskHoldsWhatWasAskedFor(t *testing.T) {
	for _, c := range []struct{ virtual, allocated int64 }{
		{256 * mib, 40 * mib}, {64 * mib, 64 * mib}, {100 * mib, 17 * mib},
	} {
		path := filepath.Join(t.TempDir(), "disk.raw")
		if err := writeDisk(t.Context(), path, c.virtual, c.allocated); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := fsutil.Allocated(st); st.Size() != c.virtual || got < c.allocated || got > c.allocated+mib {
			t.Errorf("disk of %d with %d of data: asked for %d with %d", st.Size(), got, c.virtual, c.allocated)
		}
	}
}

func TestReport(t *testing.T) {
	row := func(above int64, content string) measured {
		return measured{what: "x", idle: 100 * mib, peak: 100*mib + above, took: time.Second, content: content}
	}
	for _, c := range []struct {
		name string
		rows []measured
		want string
	}{
		{"within", []measured{row(limit, "a"), row(0, "a")}, ""},
		{"above", []measured{row(limit+1, "a")}, "at most 200 are allowed"},
		{"other content", []measured{row(0, "a"), row(0, "b")}, "has content b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			err := report(&out, gib, mib, c.rows)
			if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if n := strings.Count(out.String(), "\nx "); n != len(c.rows) {
				t.Errorf("%d rows in\n%s", n, out.String())
			}
		})
	}
}
