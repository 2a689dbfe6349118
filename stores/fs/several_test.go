package fs

import (
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/stores"
	"ingest/stores/storetest"
)

// several opens a store in three folders below dir. Each Begin goes to another one.
func several(tb testing.TB, dir string) *Several {
	tb.Helper()
	s, err := OpenSeveral([]Folder{{filepath.Join(dir, "a"), 1}, {filepath.Join(dir, "b"), 2}, {filepath.Join(dir, "c"), 2}}, "test")
	if err != nil {
		tb.Fatal(err)
	}
	turn := int64(0)
	for i, f := range s.folders {
		s.weights[i] = 0
		f.free = func() (int64, error) {
			turn++
			return 1<<50 + (turn*7)%5, nil
		}
	}
	return s
}

func TestSeveralFolders(t *testing.T) {
	dirs := map[stores.Store]string{}
	storetest.Run(t, storetest.Harness{
		New: func(tb testing.TB) stores.Store {
			dir := tb.TempDir()
			s := several(tb, dir)
			dirs[s] = dir
			return s
		},
		Reopen: func(tb testing.TB, s stores.Store) stores.Store {
			next := several(tb, dirs[s])
			dirs[next] = dirs[s]
			return next
		},
		Leftovers: func(tb testing.TB, s stores.Store) []string {
			var out []string
			for _, f := range s.(*Several).folders {
				out = append(out, leftovers(tb, f.dir)...)
			}
			return out
		},
	})
}

func TestFolderThatIsFilledNext(t *testing.T) {
	const gib = int64(1) << 30
	for _, tt := range []struct {
		name string
		free [3]int64 // of a, b and c, of weights 1, 2 and 2
		size int64
		want string
	}{
		{"heaviest, most free", [3]int64{90 * gib, 10 * gib, 20 * gib}, gib, "c"},
		{"equal", [3]int64{90 * gib, 10 * gib, 10 * gib}, gib, "b"},
		{"does not fit the heavy ones", [3]int64{90 * gib, 10 * gib, 20 * gib}, 50 * gib, "a"},
		{"fits none for sure", [3]int64{90 * gib, 10 * gib, 20 * gib}, 500 * gib, "c"},
		{"unknown size", [3]int64{90 * gib, 10 * gib, 20 * gib}, -1, "c"},
		{"heavy ones are full", [3]int64{gib, 1 << 20, 1 << 20}, -1, "a"},
		{"a small one fits anywhere", [3]int64{1 << 20, 2 << 20, 3 << 20}, 512, "c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := OpenSeveral([]Folder{{filepath.Join(dir, "a"), 1}, {filepath.Join(dir, "b"), 2}, {filepath.Join(dir, "c"), 2}}, "test")
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range s.folders {
				n := tt.free[filepath.Base(f.dir)[0]-'a']
				f.free = func() (int64, error) { return n, nil }
			}
			f, err := s.next(t.Context(), tt.size)
			if err != nil || filepath.Base(f.dir) != tt.want {
				t.Errorf("%v, %v, want %s", f, err, tt.want)
			}
		})
	}
	s, err := OpenSeveral([]Folder{{t.TempDir(), 0}, {t.TempDir(), 0}}, "test")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.folders {
		f.free = func() (int64, error) { return 10, nil }
	}
	if _, err := s.Begin(t.Context(), stores.NewKey(uuid.NewString(), uuid.NewString()), gib); errcode.Of(err) != errcode.NoSpace {
		t.Errorf("Begin in full folders: %v", err)
	}
}

// Two uploads of one key in two folders: one of them gets it.
func TestOneKeyInTwoFolders(t *testing.T) {
	s := several(t, t.TempDir())
	var ups []stores.Upload
	for i := range s.folders {
		begun, err := s.folders[i].Begin(t.Context(), testKey, 3)
		if err != nil {
			t.Fatal(err)
		}
		w, _ := s.wrap(s.folders[i], begun, nil)
		t.Cleanup(func() { w.Close() })
		if err := w.Seal(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		ups = append(ups, w)
	}
	results := make(chan error, len(ups))
	for _, u := range ups {
		go func() { results <- u.Commit(t.Context(), stores.Digest{Size: 3}) }()
	}
	won := 0
	for range ups {
		switch err := <-results; errcode.Of(err) {
		case "":
			won++
		case errcode.Conflict:
		default:
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d uploads have the key", won)
	}
}
