package pipeline

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"ingest/formats"
	"ingest/formats/qcow2"
	"ingest/formats/raw"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/sources"
	"ingest/stores"
	"ingest/stores/fs"
)

// shifty is a source with zeros in its middle, which are data when it is opened
// for the first time, and a hole from then on.
type shifty struct {
	memory
	opens int
}

const (
	shiftySize  = 64 << 20
	shiftyBegin = 8 << 20 // of the zeros
	shiftyEnd   = 16 << 20
)

func newShifty() *shifty {
	s := &shifty{memory: *newMemory(shiftySize)}
	s.pin.Driver, s.pin.URL = "shifty", "shifty://x"
	return s
}

func (s *shifty) Name() string      { return "shifty" }
func (s *shifty) Schemes() []string { return []string{"shifty"} }
func (s *shifty) Open(context.Context, sources.Ref, *sources.Pin) (sources.Source, error) {
	s.opens++
	return s, nil
}
func (s *shifty) ReaderAt(context.Context) (io.ReaderAt, error) { return s, nil }

func (s *shifty) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.memory.ReadAt(p, off)
	begin, end := max(off, shiftyBegin), min(off+int64(n), shiftyEnd)
	if begin < end {
		clear(p[begin-off : end-off])
	}
	return n, err
}

func (s *shifty) NextData(off int64) (start, end int64, err error) {
	switch {
	case s.opens <= 1:
		return off, shiftySize, nil
	case off < shiftyBegin:
		return off, shiftyBegin, nil
	}
	return max(off, shiftyEnd), shiftySize, nil
}

// shiftyJob returns a pipeline over the source and how it is to be converted.
func shiftyJob(t *testing.T, src *shifty) (*Pipeline, *fs.Store, contract.ConvertParams) {
	t.Helper()
	store, err := fs.Open(filepath.Join(t.TempDir(), "store"), "main")
	if err != nil {
		t.Fatal(err)
	}
	p := &Pipeline{
		Readers: []formats.Format{raw.Format{}, qcow2.Format{}}, Sources: sources.Set{src},
		Stores: map[string]stores.Store{"main": store}, DefaultStore: "main",
		HashAlgo: "sha256", Verify: "full", Limits: formats.DefaultLimits(), CheckpointEvery: 1,
	}
	return p, store, contract.ConvertParams{
		TaskID: uuid.NewString(), Fetched: fetchedOf(contract.SourceSpec{URL: src.pin.URL}, "", src.pin),
		Detected: contract.Detected{Format: "raw"}, Target: contract.TargetSpec{Format: "qcow2", Compression: "none"},
		Key: contract.ObjectKey(uuid.NewString(), uuid.NewString()),
	}
}

// A file system may tell the holes of the same bytes differently from one
// attempt to the next. What was written by one plan is not continued by another.
func TestAnotherPlanStartsAgain(t *testing.T) {
	src := newShifty()
	p, _, c := shiftyJob(t, src)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := p.Convert(ctx, c, func(done, _ int64, _ []byte) {
		if done >= shiftySize/2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	out, err := p.Convert(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Checksum(t.Context(), contract.ChecksumParams{Target: c.Target, Converted: out}, nil, nil); err != nil {
		t.Error(err)
	}
	if src.opens != 2 {
		t.Errorf("opened %d times", src.opens)
	}
}

// flaky is an upload that reads until the store is gone.
type flaky struct {
	stores.Upload
	r    io.ReaderAt
	left int64
}

func (f *flaky) ReaderAt() (io.ReaderAt, error) { return f, nil }
func (f *flaky) ReadAt(p []byte, off int64) (int, error) {
	if f.left -= int64(len(p)); f.left < 0 {
		return 0, errcode.New(errcode.StoreUnavailable, "gone")
	}
	return f.r.ReadAt(p, off)
}

// A store that fails while it is read back says nothing about the bytes.
func TestStoreGoneWhileReadBackIsNoMismatch(t *testing.T) {
	p, store, c := shiftyJob(t, newShifty())
	p.Workers = 1
	out, err := p.Convert(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	up, err := store.Resume(t.Context(), out.UploadID)
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	if err := up.Seal(t.Context(), out.Size); err != nil {
		t.Fatal(err)
	}
	r, err := up.ReaderAt()
	if err != nil {
		t.Fatal(err)
	}
	// Within the first pass, at the open of the second, and within that.
	for _, left := range []int64{1 << 20, out.Size, out.Size + shiftySize/2} {
		_, err := p.ReadBack(t.Context(), &flaky{up, r, left}, c.Target, out, contract.VerifyFull, nil, nil)
		if errcode.Of(err) != errcode.StoreUnavailable {
			t.Errorf("after %d bytes: %v, want %s", left, err, errcode.StoreUnavailable)
		}
	}
}

// An import whose workflow was lost behind the commit runs again, to the same
// key, and finds that it is done.
func TestCommitOfTheSameBytesAgain(t *testing.T) {
	src := newShifty()
	src.opens = 1 // the holes stay what they are
	p, store, c := shiftyJob(t, src)
	for round := range 2 {
		out, err := p.Convert(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		sums, err := p.Checksum(t.Context(), contract.ChecksumParams{Target: c.Target, Converted: out}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if round == 1 {
			other := sums
			other.HashValue = strings.Repeat("0", 64)
			if _, err := p.Commit(t.Context(), contract.StoreParams{Key: c.Key, Converted: out, Checksummed: other}); errcode.Of(err) != errcode.Conflict {
				t.Errorf("commit of other bytes: %v", err)
			}
		}
		if _, err := p.Commit(t.Context(), contract.StoreParams{Key: c.Key, Converted: out, Checksummed: sums}); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
	for up, err := range store.Uploads(t.Context(), time.Now().Add(time.Hour)) {
		t.Errorf("left behind: %+v, %v", up, err)
	}
}

// Convert shows life before its figure moves: while tables are read and written.
func TestConvertShowsLifeBeforeTheFirstByte(t *testing.T) {
	p, _, c := shiftyJob(t, newShifty())
	lived := false
	if _, err := p.Convert(t.Context(), c, func(done, _ int64, hint []byte) {
		lived = lived || done == 0 && len(hint) > 0
	}); err != nil {
		t.Fatal(err)
	}
	if !lived {
		t.Error("no sign of life")
	}
	var hints []string
	pulse := newPulse(func(_, _ int64, hint []byte) { hints = append(hints, string(hint)) })
	r := watch(&shifty{memory: *newMemory(shiftySize)}, pulse.read)
	if _, ok := r.(formats.DataFinder); !ok {
		t.Error("the holes are hidden")
	}
	if _, ok := watch(bytes.NewReader(nil), pulse.read).(formats.DataFinder); ok {
		t.Error("holes of a reader that knows none")
	}
	for range 2 {
		pulse.told = time.Time{}
		if _, err := r.ReadAt(make([]byte, 10), 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(hints, " "); got != `{"read":10} {"read":20}` {
		t.Errorf("hints %s", got)
	}
}

// A sparse file is known to be one behind all that is put around its reader.
func TestSparseSourcesAreKnownToBeSparse(t *testing.T) {
	src := newShifty()
	src.opens = 1
	p, _, c := shiftyJob(t, src)
	got, _, err := p.Detect(t.Context(), contract.DetectParams{TaskID: c.TaskID, Fetched: c.Fetched})
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(shiftySize - (shiftyEnd - shiftyBegin)); got.AllocatedSize != want {
		t.Errorf("%d bytes of data, want %d", got.AllocatedSize, want)
	}
}
