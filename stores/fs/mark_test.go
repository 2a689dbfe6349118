package fs

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ingest/stores"
)

// A mark is believed by the boot that made it, of the file that it speaks of.
func TestMarkOfAnotherBootIsNotBelieved(t *testing.T) {
	for name, spoil := range map[string]func(*mark){
		"same":    func(*mark) {},
		"boot":    func(m *mark) { m.Boot = "another" },
		"no boot": func(m *mark) { m.Boot = "" },
		"inode":   func(m *mark) { m.Inode++ },
		"older":   func(m *mark) { m.Serial = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			u, err := s.Begin(t.Context(), testKey, -1)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(u.Checkpoint(t.Context(), []byte("durable")), u.(stores.Marker).Mark(t.Context(), []byte("mark")), u.Close()); err != nil {
				t.Fatal(err)
			}
			path, want := filepath.Join(s.uploadDir(u.ID()), markName), "durable"
			if name == "same" {
				want = "mark"
			}
			var m mark
			if err := readJSON(path, &m); err != nil {
				t.Fatal(err)
			}
			spoil(&m)
			b, _ := json.Marshal(m)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			checkNote(t, s, u.ID(), want)
		})
	}
}

// Half a mark is none.
func TestTornMark(t *testing.T) {
	s := open(t, t.TempDir())
	u, err := s.Begin(t.Context(), testKey, -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(u.Checkpoint(t.Context(), []byte("durable")), u.(stores.Marker).Mark(t.Context(), []byte("mark")), u.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.uploadDir(u.ID()), markName)
	for _, n := range []int64{0, 1, 20} {
		if err := os.Truncate(path, n); err != nil {
			t.Fatal(err)
		}
		checkNote(t, s, u.ID(), "durable")
	}
}

// A sync that fails takes the mark along: the kernel may have dropped the bytes.
func TestFailedSyncRemovesTheMark(t *testing.T) {
	s := open(t, t.TempDir())
	up, err := s.Begin(t.Context(), testKey, -1)
	if err != nil {
		t.Fatal(err)
	}
	u := up.(*upload)
	if err := errors.Join(u.Checkpoint(t.Context(), []byte("durable")), u.Mark(t.Context(), []byte("mark"))); err != nil {
		t.Fatal(err)
	}
	u.f.Close() // every sync fails from here on
	if u.Checkpoint(t.Context(), []byte("lost")) == nil {
		t.Fatal("a checkpoint of a closed file succeeds")
	}
	if u.Mark(t.Context(), []byte("lost")) == nil {
		t.Error("a mark vouches for what may be lost")
	}
	checkNote(t, s, u.ID(), "durable")
}

func checkNote(t *testing.T, s *Store, id, want string) {
	t.Helper()
	u, err := s.Resume(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if got := string(u.Note()); got != want {
		t.Errorf("Note = %q, want %q", got, want)
	}
}
