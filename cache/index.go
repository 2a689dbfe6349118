package cache

import (
	"container/list"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"ingest/internal/fsutil"
)

// A record makes an entry of a data file.
type record struct {
	Object
	File   string    `json:"file"`   // its name below data/
	Mtime  int64     `json:"mtime"`  // of the data file, nanoseconds of Unix time: nobody has written to it since
	Filled time.Time `json:"filled"` // when it was complete
}

// maxRecord bounds a record, bytes: it holds two names, a key and a digest.
const maxRecord = 16 << 10

const recordSuffix = ".json"

// Only files with these names are removed from the folders.
var (
	recordName = regexp.MustCompile(`^[0-9a-f]{64}\.json(\.tmp)?$`)
	dataName   = regexp.MustCompile(`^[0-9a-f]{64}\.[0-9a-f]{16}$`)
)

// load finds the entries and the queue, and removes what is neither.
func (c *Cache) load() error {
	named := map[string]bool{} // data files that records name
	var found []*entry
	err := c.records(indexDir, func(id string, b []byte) bool {
		var r record
		if json.Unmarshal(b, &r) != nil || !c.sound(id, r) {
			return false
		}
		f, err := c.openData(r)
		if err != nil {
			return false
		}
		f.Close()
		named[r.File] = true
		found = append(found, &entry{id: id, rec: r, accessed: r.Filled})
		return true
	})
	if err != nil {
		return err
	}
	c.loadUsage(found)
	slices.SortStableFunc(found, func(a, b *entry) int { return b.accessed.Compare(a.accessed) })
	for _, e := range found {
		c.entries[e.id] = c.order.PushBack(e)
		c.used += e.rec.Size
	}
	if _, err := c.sweepData(named); err != nil {
		return err
	}
	c.prune(c.o.MaxBytes)
	return c.loadQueue()
}

// records gives every file of a folder of records to take, and removes those that
// it does not take.
func (c *Cache) records(folder string, take func(id string, b []byte) bool) error {
	dir := filepath.Join(c.o.Dir, folder)
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !recordName.MatchString(f.Name()) {
			continue
		}
		b, err := readRecord(filepath.Join(dir, f.Name()))
		if err == nil && !strings.HasSuffix(f.Name(), fsutil.TempSuffix) && take(strings.TrimSuffix(f.Name(), recordSuffix), b) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
			return err
		}
		c.o.Log.Info().Str("file", folder+"/"+f.Name()).Msg("cache: removed a record that is not valid")
	}
	return nil
}

func readRecord(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err == nil && len(b) > maxRecord {
		err = errors.New("the record is too long")
	}
	return b, err
}

// sound reports whether a record can be one of the cache's.
func (c *Cache) sound(name string, r record) bool {
	h := newHash(r.Algo)
	return h != nil && len(r.Hex) == 2*h.Size() && r.Size > 0 && id(r.Store, r.Key) == name &&
		dataName.MatchString(r.File) && strings.HasPrefix(r.File, name)
}

var errChanged = errors.New("the file is not the one that was written")

// openData opens an entry's bytes. It fails if the file has another length than
// it had, or was written to.
func (c *Cache) openData(r record) (*os.File, error) {
	f, err := os.OpenFile(c.data(r.File), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && (!fi.Mode().IsRegular() || fi.Size() != r.Size || fi.ModTime().UnixNano() != r.Mtime) {
		err = errChanged
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sweepData removes the data files that are not named and returns their bytes.
func (c *Cache) sweepData(named map[string]bool) (int64, error) {
	files, err := os.ReadDir(filepath.Join(c.o.Dir, dataDir))
	if err != nil {
		return 0, err
	}
	var freed int64
	for _, f := range files {
		if named[f.Name()] || !dataName.MatchString(f.Name()) {
			continue
		}
		if fi, err := f.Info(); err == nil {
			freed += fi.Size()
		}
		if err := os.Remove(c.data(f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return freed, err
		}
		c.o.Log.Info().Str("file", f.Name()).Msg("cache: removed what an unfinished copy left")
	}
	return freed, nil
}

func (c *Cache) data(name string) string { return filepath.Join(c.o.Dir, dataDir, name) }
func (c *Cache) record(name string) string {
	return filepath.Join(c.o.Dir, indexDir, name+recordSuffix)
}

// use is what usage.json keeps of an entry. Without the file the entries are in
// the order of their fills.
type use struct {
	Hits     int64     `json:"hits"`
	Accessed time.Time `json:"accessed"`
}

// maxUsage bounds usage.json, bytes: 100,000 entries.
const maxUsage = 16 << 20

func (c *Cache) loadUsage(found []*entry) {
	f, err := os.Open(filepath.Join(c.o.Dir, usageName))
	if err != nil {
		return
	}
	defer f.Close()
	var all map[string]use
	if json.NewDecoder(io.LimitReader(f, maxUsage)).Decode(&all) != nil {
		return
	}
	for _, e := range found {
		if u, ok := all[e.id]; ok && u.Accessed.After(e.accessed) {
			e.hits, e.accessed = u.Hits, u.Accessed
		}
	}
}

// saveUsage writes usage.json if something was read since.
func (c *Cache) saveUsage() {
	c.mu.Lock()
	if !c.touched {
		c.mu.Unlock()
		return
	}
	c.touched = false
	all := map[string]use{}
	for _, e := range c.byAccess() {
		all[e.id] = use{Hits: e.hits, Accessed: e.accessed}
	}
	c.mu.Unlock()
	b, err := json.Marshal(all)
	if err == nil {
		err = fsutil.WriteDurable(c.o.Dir, usageName, b)
	}
	if err != nil {
		c.o.Log.Warn().Err(err).Msg("cache: the order of access cannot be kept")
	}
}

// byAccess lists the entries, the one read last first. c.mu is held.
func (c *Cache) byAccess() []*entry {
	out := make([]*entry, 0, c.order.Len())
	for el := c.order.Front(); el != nil; el = el.Next() {
		out = append(out, entryOf(el))
	}
	return out
}

func entryOf(el *list.Element) *entry { return el.Value.(*entry) }
