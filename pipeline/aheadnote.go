package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/stores"
)

// An aheadNote says in an upload's note that it was begun while its source was staged.
type aheadNote struct {
	Token  string `json:"token"`  // of the record beside the staged file
	Format string `json:"format"` // that the source was taken for
}

// is reports whether both say the same; nil is what was begun in its turn.
func (n *aheadNote) is(other *aheadNote) bool {
	if n == nil || other == nil {
		return n == other
	}
	return *n == *other
}

// firstFile is the name of an image's first file in the task's folder.
const firstFile = "source"

// aheadFile is the name of the record in the task's folder.
const aheadFile = "ahead.json"

// An aheadRecord stands beside the staged file and says which upload was begun from
// its bytes. The upload's note is worth something as long as the record has the token
// that the note has. Whatever makes the file begin anew takes the token away.
type aheadRecord struct {
	Store string `json:"store"`
	Key   string `json:"key"`
	Token string `json:"token,omitempty"`
	// Boot is that of the host: what a host that died had in its page cache may have
	// been other bytes than those that are fetched again.
	Boot string `json:"boot,omitempty"`
}

// aheadRecord returns the record, the zero value if there is none.
func (s staging) aheadRecord() aheadRecord {
	text, err := os.ReadFile(filepath.Join(s.dir, aheadFile))
	var r aheadRecord
	if err != nil || json.Unmarshal(text, &r) != nil {
		return aheadRecord{}
	}
	return r
}

func (s staging) saveAhead(r aheadRecord) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return fsutil.WriteDurable(s.dir, aheadFile, text)
}

// disown takes the record's token away: nothing that was written ahead is gone on
// with. It still says where that lies.
func (s staging) disown() error {
	r := s.aheadRecord()
	if r.Token == "" || s.name != firstFile {
		return nil
	}
	r.Token = ""
	if s.saveAhead(r) == nil {
		return nil
	}
	// There may be no room. The sweep finds the upload without it.
	return os.Remove(filepath.Join(s.dir, aheadFile))
}

// rebooted disowns what was written ahead before the host's last start.
func (s staging) rebooted() error {
	if r := s.aheadRecord(); r.Boot != "" && r.Boot == fsutil.Boot() {
		return nil
	}
	return s.disown()
}

// begunAhead returns what the note of the import's upload says, if it was begun while
// its source was fetched, and can be gone on with; else nil. It must have been taken
// for what detection has found.
func (p *Pipeline) begunAhead(ctx context.Context, store stores.Store, c contract.ConvertParams) *aheadNote {
	bare, format := c.Detected.Container == "" && c.Disk <= 1 && len(c.Fetched.Members) == 0, c.Detected.Format
	if c.Target.AsIs {
		bare, format = true, asIsFormat
	}
	r := p.staging(c.TaskID).aheadRecord()
	if !c.Fetched.Staged || c.Fetched.Layer != "" || !bare || r.Token == "" || r.Store != store.Name() || r.Key != c.Key {
		return nil
	}
	up, err := findUpload(ctx, store, c.Key)
	if err != nil {
		return nil // what is wrong is found when it is taken up
	}
	defer up.Close()
	var n note
	want := &aheadNote{Token: r.Token, Format: format}
	if json.Unmarshal(up.Note(), &n) != nil || !n.Ahead.is(want) {
		return nil
	}
	return want
}

// dropAhead throws away what was written ahead, and then its record. Nothing that is
// committed is touched. It needs no room to write.
func (p *Pipeline) dropAhead(ctx context.Context, s staging) error {
	r := s.aheadRecord()
	if r.Key == "" {
		return nil
	}
	store, err := p.store(r.Store)
	if err != nil {
		return err
	}
	up, err := findUpload(ctx, store, r.Key)
	if err == nil {
		err = errors.Join(up.Abort(ctx), up.Close())
	}
	if err != nil && errcode.Of(err) != errcode.UploadUnknown {
		return errors.Join(err, s.disown())
	}
	err = os.Remove(filepath.Join(s.dir, aheadFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// cleanAhead removes what was written ahead for an import that ends, unless it is what
// the cleanup is about. A store that does not answer keeps the record, and no more.
func (p *Pipeline) cleanAhead(ctx context.Context, c contract.CleanupParams) error {
	s := p.staging(c.TaskID)
	r := s.aheadRecord()
	name := c.Store
	if name == "" {
		name = p.DefaultStore
	}
	if r.Key == "" || r.Key == c.Key && r.Store == name {
		return nil
	}
	err := p.dropAhead(ctx, s)
	if errcode.Of(err) == errcode.StoreUnknown {
		return nil // it was taken away since
	}
	if err != nil {
		return errors.Join(err, s.discard())
	}
	return nil
}
