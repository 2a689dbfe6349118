package fs

import (
	iofs "io/fs"
	"path/filepath"
	"testing"

	"ingest/stores"
	"ingest/stores/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		New: func(tb testing.TB) stores.Store { return open(tb, tb.TempDir()) },
		Reopen: func(tb testing.TB, s stores.Store) stores.Store {
			return open(tb, s.(*Store).dir)
		},
		Leftovers: func(tb testing.TB, s stores.Store) []string { return leftovers(tb, s.(*Store).dir) },
	})
}

func open(tb testing.TB, dir string) *Store {
	tb.Helper()
	s, err := Open(dir, "test")
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// leftovers lists everything below dir except the two folders of an empty store.
func leftovers(tb testing.TB, dir string) []string {
	tb.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, _ iofs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if rel != "." && rel != objectsName && rel != uploadsName {
			out = append(out, rel)
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}
