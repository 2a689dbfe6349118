package file_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ingest/exports"
	"ingest/exports/exporttest"
	"ingest/exports/file"
)

func TestDriver(t *testing.T) {
	exporttest.Run(t, func(tb testing.TB) exporttest.Fixture {
		root := tb.TempDir()
		path := filepath.Join(root, "disk.img")
		return exporttest.Fixture{
			Driver: file.New([]string{root}), URL: "file://" + path, Part: 1 << 20,
			Read: func() ([]byte, bool) {
				p, err := os.ReadFile(path)
				return p, err == nil
			},
			Place: func(p []byte) {
				err := os.RemoveAll(path)
				if p != nil {
					err = errors.Join(err, os.WriteFile(path, p, 0o600))
				}
				if err != nil {
					tb.Fatal(err)
				}
			},
			Left: func() (left []string) {
				all, err := os.ReadDir(root)
				if err != nil {
					tb.Fatal(err)
				}
				for _, e := range all {
					if e.Name() != "disk.img" {
						left = append(left, e.Name())
					}
				}
				return left
			},
		}
	})
}

// Whoever tidies up may take the hidden file and leave the note, which vouches for nothing
// then.
func TestANoteWithoutItsBytes(t *testing.T) {
	root := t.TempDir()
	to := exports.Destination{URL: filepath.Join(root, "disk.img"), Task: "t"}
	open := func() exports.Writable {
		t.Helper()
		target, err := file.New([]string{root}).Open(t.Context(), to, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { target.Close() })
		return target.(exports.Writable)
	}
	for _, sealed := range []bool{false, true} {
		up := open().Upload()
		_, err := up.WriteAt([]byte("bytes"), 0)
		if err := errors.Join(err, up.Checkpoint(t.Context(), []byte("5"))); err != nil {
			t.Fatal(err)
		}
		if sealed {
			if err := up.Seal(t.Context(), 5); err != nil {
				t.Fatal(err)
			}
		}
		if again := open().Upload(); string(again.Note()) != "5" {
			t.Errorf("the note is %q", again.Note())
		}
		if err := os.Remove(filepath.Join(root, ".disk.img.export-t")); err != nil {
			t.Fatal(err)
		}
		again := open().Upload()
		if _, is := again.Sealed(); is || again.Note() != nil {
			t.Errorf("sealed %v: still sealed %v, note %q", sealed, is, again.Note())
		}
		if err := again.Abort(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
