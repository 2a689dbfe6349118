package fs

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// A mark that is made while a sync fails does not outlive it: the sync has removed the
// marks that there were before this one stood there.
func TestMarkBesideAFailedSync(t *testing.T) {
	s := open(t, t.TempDir())
	up, err := s.Begin(t.Context(), testKey, -1)
	if err != nil {
		t.Fatal(err)
	}
	u := up.(*upload)
	if err := u.Checkpoint(t.Context(), []byte("durable")); err != nil {
		t.Fatal(err)
	}
	u.changing.Lock()
	done := make(chan error)
	go func() { done <- u.Mark(t.Context(), []byte("lost")) }()
	for begun := int64(1); begun < 2; runtime.Gosched() { // until nothing was wrong, as far as the mark knows
		u.notes.mu.Lock()
		begun = u.notes.serial
		u.notes.mu.Unlock()
	}
	u.suspect.Store(true)
	if err := u.unmark(); err != nil {
		t.Fatal(err)
	}
	u.changing.Unlock()
	if <-done == nil {
		t.Error("a mark vouches for what may be lost")
	}
	checkNote(t, s, u.ID(), "durable")
}

// Marks and checkpoints of one handle are made side by side, and its folder's lock,
// which one open file has, does not tell them apart.
func TestChangesOfAHandleExcludeEachOther(t *testing.T) {
	s := open(t, t.TempDir())
	up, err := s.Begin(t.Context(), testKey, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	u := up.(*upload)
	var inside atomic.Int32
	one := func(*manifest) error {
		defer inside.Add(-1)
		if inside.Add(1) > 1 {
			t.Error("two changes at once")
		}
		other, err := os.Open(s.uploadDir(u.id))
		if err != nil {
			return err
		}
		defer other.Close()
		time.Sleep(time.Millisecond) // for another one to come and go
		if err := unix.Flock(int(other.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EWOULDBLOCK {
			t.Errorf("another handle's lock during a change: %v", err)
		}
		return nil
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				if err := u.change(one); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
