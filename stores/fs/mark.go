package fs

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/stores"
)

const markName = "mark.json"

// mark is a note that the host's death takes with it, and what it vouches for: the
// bytes of this file, as this boot of the host has them in its page cache.
type mark struct {
	Boot   string `json:"boot"`
	Inode  uint64 `json:"inode"`
	Serial int64  `json:"serial"`
	Note   []byte `json:"note"`
}

var _ stores.Marker = (*upload)(nil)

// Mark keeps a note without waiting for the disk.
func (u *upload) Mark(ctx context.Context, note []byte) error {
	if err := u.usable(ctx); err != nil {
		return err
	}
	u.notes.marking.Lock()
	defer u.notes.marking.Unlock()
	m, err := u.markOf(note)
	if err != nil || m.Boot == "" {
		return err // where boots have no name, checkpoints are all there is
	}
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	path := filepath.Join(u.s.uploadDir(u.id), markName)
	// Under the lock, so that a handle that was overtaken vouches for nothing.
	err = u.change(func(*manifest) error {
		if err := os.WriteFile(path+fsutil.TempSuffix, b, 0o600); err != nil {
			return err
		}
		return os.Rename(path+fsutil.TempSuffix, path)
	})
	if err == nil && u.suspect.Load() {
		// The sync that has failed meanwhile may have looked for a mark before there was one.
		err = errors.Join(u.lost(), u.unmark())
	}
	if err != nil {
		return storeError(err, "mark upload %s", u.id)
	}
	u.notes.kept(append([]byte(nil), note...), m.Serial)
	return nil
}

// lost says that nothing vouches for the bytes any more.
func (u *upload) lost() error {
	return errcode.New(errcode.StoreUnavailable, "what was written to upload %s may be lost: its disk has failed", u.id)
}

func (u *upload) markOf(note []byte) (mark, error) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	switch {
	case u.gone != nil:
		return mark{}, u.gone
	case u.suspect.Load():
		return mark{}, u.lost()
	case u.size >= 0:
		return mark{}, errcode.New(errcode.Conflict, "the upload is sealed")
	}
	fi, err := u.f.Stat()
	if err != nil {
		return mark{}, storeError(err, "mark upload %s", u.id)
	}
	return mark{Boot: fsutil.Boot(), Inode: fsutil.Inode(fi), Serial: u.notes.begin(), Note: note}, nil
}

// marked returns the upload's mark, false if it is worth nothing.
func (u *upload) marked() (mark, bool) {
	var m mark
	if err := readJSON(filepath.Join(u.s.uploadDir(u.id), markName), &m); err != nil {
		return mark{}, false
	}
	fi, err := u.f.Stat()
	return m, err == nil && m.Boot != "" && m.Boot == fsutil.Boot() && m.Inode == fsutil.Inode(fi)
}

// unmark removes the mark.
func (u *upload) unmark() error {
	err := os.Remove(filepath.Join(u.s.uploadDir(u.id), markName))
	if os.IsNotExist(err) {
		return nil
	}
	return storeError(err, "remove the mark of upload %s", u.id)
}

// notes are those of one handle. Marks and checkpoints may be made side by side.
type notes struct {
	marking sync.Mutex // one Mark at a time

	mu     sync.Mutex
	serial int64 // of the last that was begun
	at     int64 // of the last that is kept
	note   []byte
}

// begin returns the serial of the note that is made next.
func (n *notes) begin() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.serial++
	return n.serial
}

// kept says that a note can be found again.
func (n *notes) kept(note []byte, serial int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if serial >= n.at {
		n.note, n.at = note, serial
	}
}

// found says what an earlier handle has kept.
func (n *notes) found(note []byte, serial int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.note, n.at, n.serial = note, serial, max(n.serial, serial)
}

func (n *notes) last() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.note
}
