//go:build !noembed && unix

package embedded

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// names lists the folder, without the files that SQLite keeps while a database
// is open.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), "-wal") && !strings.HasSuffix(e.Name(), "-shm") {
			out = append(out, e.Name())
		}
	}
	sort.Strings(out)
	return out
}

func write(t *testing.T, body []byte, path ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path...), body, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPrepareFile(t *testing.T) {
	ctx := context.Background()
	tests := []struct {
		name   string
		spoil  func(t *testing.T, dir string)
		reason string // part of it; "" means that the file stays
		left   []string
	}{
		{"untouched", func(*testing.T, string) {}, "", []string{dbName, stampName}},
		{"older server", func(t *testing.T, dir string) {
			write(t, []byte(`{"server":"1.29.1","schema":"0.10"}`), dir, stampName)
		}, "1.29.1", []string{dbName, dbName + ".1.29.1.bak", stampName}},
		{"no stamp", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, stampName)); err != nil {
				t.Fatal(err)
			}
		}, "not known", []string{dbName, dbName + ".unknown.bak", stampName}},
		{"hostile stamp", func(t *testing.T, dir string) {
			write(t, []byte(`{"server":"../../etc/x"}`), dir, stampName)
		}, "cannot read it", []string{dbName, dbName + ".unknown.bak", stampName}},
		{"not a database", func(t *testing.T, dir string) {
			write(t, bytes.Repeat([]byte("no database"), 1000), dir, dbName)
		}, "damaged", []string{dbName, dbName + "." + thisServer().label() + ".bak", stampName}},
		{"empty", func(t *testing.T, dir string) {
			write(t, nil, dir, dbName)
		}, "damaged", []string{dbName, dbName + "." + thisServer().label() + ".bak", stampName}},
		{"bad pages", func(t *testing.T, dir string) {
			body, err := os.ReadFile(filepath.Join(dir, dbName))
			if err != nil {
				t.Fatal(err)
			}
			for i := 8192; i < len(body); i++ {
				body[i] = 0xa5
			}
			write(t, body, dir, dbName)
		}, "damaged", []string{dbName, dbName + "." + thisServer().label() + ".bak", stampName}},
		{"older copy is dropped", func(t *testing.T, dir string) {
			write(t, nil, dir, dbName+".1.2.3.bak")
			write(t, nil, dir, dbName+".1.2.3.bak-wal")
			write(t, nil, dir, stampName)
		}, "not known", []string{dbName, dbName + ".unknown.bak", stampName}},
		{"log without database", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, dbName)); err != nil {
				t.Fatal(err)
			}
			write(t, []byte("stale"), dir, dbName+"-wal")
		}, "", []string{dbName, stampName}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if moved, err := prepareFile(ctx, dir, sqlConfig(dir)); err != nil || moved != nil {
				t.Fatalf("empty folder: %+v, %v", moved, err)
			}
			settle(t, dir)
			tt.spoil(t, dir)
			moved, err := prepareFile(ctx, dir, sqlConfig(dir))
			if err != nil {
				t.Fatal(err)
			}
			if (moved != nil) != (tt.reason != "") || moved != nil && !strings.Contains(moved.Reason, tt.reason) {
				t.Errorf("moved = %+v, want reason %q", moved, tt.reason)
			}
			if diff := cmp.Diff(tt.left, names(t, dir)); diff != "" {
				t.Error(diff)
			}
			if readStamp(dir) != thisServer() {
				t.Errorf("stamp = %v", readStamp(dir))
			}
			if st, err := os.Stat(filepath.Join(dir, dbName)); err != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("others may read the file: %v, %v", st, err)
			}
			if reason, err := unusable(ctx, filepath.Join(dir, dbName), readStamp(dir), thisServer()); reason != "" || err != nil {
				t.Errorf("the file that is left: %q, %v", reason, err)
			}
		})
	}
}

// settle makes the folder look as after a clean end of the process: the server's
// library keeps its connection open, and with it the log.
func settle(t *testing.T, dir string) {
	t.Helper()
	(&Server{dir: dir}).foldLog()
	for _, p := range parts()[1:] {
		if err := removeIfThere(filepath.Join(dir, dbName+p)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPrepareFileKeepsWhatItCannotJudge(t *testing.T) {
	dir := t.TempDir()
	if _, err := prepareFile(context.Background(), dir, sqlConfig(dir)); err != nil {
		t.Fatal(err)
	}
	settle(t, dir)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if moved, err := prepareFile(ctx, dir, sqlConfig(dir)); err == nil || moved != nil {
		t.Errorf("with a check that could not be made: %+v, %v; want an error and the file left", moved, err)
	}
	if diff := cmp.Diff([]string{dbName, stampName}, names(t, dir)); diff != "" {
		t.Error(diff)
	}
}
