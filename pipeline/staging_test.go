package pipeline

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/sources"
)

// memory is a source of any size and version whose bytes are all alike.
type memory struct {
	pin  sources.Pin
	fill byte
	ends int64 // reads behind it fail; 0 for none
	// held, if set, is closed when reads behind heldFrom may end.
	held     chan struct{}
	heldFrom int64
}

func newMemory(size int64) *memory {
	return &memory{fill: 'a', pin: sources.Pin{Driver: "memory", URL: "memory", Size: size, Validator: "1", Strong: true, Random: true}}
}

func (m *memory) Pin() sources.Pin { return m.pin }
func (m *memory) Close() error     { return nil }
func (m *memory) Stream(context.Context, int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(bytes.Repeat([]byte{m.fill}, int(m.pin.Size)))), nil
}
func (m *memory) ReaderAt(context.Context) (io.ReaderAt, error) { return m, nil }
func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	if m.ends > 0 && off >= m.ends {
		return 0, io.ErrUnexpectedEOF
	}
	if m.held != nil && off >= m.heldFrom {
		<-m.held
	}
	n := min(int64(len(p)), m.pin.Size-off)
	copy(p, bytes.Repeat([]byte{m.fill}, int(n)))
	return int(n), nil
}

// stageTest returns a pipeline that checkpoints at every unit, and a folder.
func stageTest(t *testing.T) (*Pipeline, staging) {
	p := &Pipeline{StagingDir: t.TempDir(), CheckpointEvery: 1}
	return p, p.staging(uuid.NewString())
}

// cut stages until some bytes are there, and is cut off.
func cut(t *testing.T, p *Pipeline, s staging, src sources.Source) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err := p.stage(ctx, s, src, plainDigest(), 0, func(done, _ int64, _ []byte) {
		if done >= 16<<20 && soon(func() bool { return s.load().bytes() > 0 }) {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || s.load().bytes() == 0 {
		t.Fatalf("not cut off behind what is known: %v", err)
	}
}

// soon reports whether something becomes true within a moment. What is known of a staging
// is written beside what is read on, and on a busy machine all could be read before.
func soon(is func() bool) bool {
	for range 200 {
		if is() {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func wantStaged(t *testing.T, s staging, src *memory) {
	t.Helper()
	got, err := os.ReadFile(s.data())
	if err != nil {
		t.Fatal(err)
	}
	if want := bytes.Repeat([]byte{src.fill}, int(src.pin.Size)); !bytes.Equal(got, want) {
		t.Errorf("the %d staged bytes are not the source's %d", len(got), len(want))
	}
}

// The sidecar vouches for bytes that a removal cut off half-way has taken: what
// is not there is fetched again, and never taken for zeros.
func TestStagedBytesThatAreGoneAreFetchedAgain(t *testing.T) {
	for _, c := range []struct {
		name string
		cut  bool
		size int64 // left of the file, -1 for nothing at all
	}{{"half, none left", true, -1}, {"half, short", true, 1 << 20}, {"whole, none left", false, -1}, {"whole, short", false, 1 << 20}} {
		t.Run(c.name, func(t *testing.T) {
			p, s := stageTest(t)
			src := newMemory(48<<20 + 1)
			if c.cut {
				cut(t, p, s, src)
			} else if _, _, err := p.stage(t.Context(), s, src, plainDigest(), 0, ignore); err != nil {
				t.Fatal(err)
			}
			err := os.Truncate(s.data(), max(c.size, 0))
			if c.size < 0 {
				err = os.Remove(s.data())
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := p.stage(t.Context(), s, src, plainDigest(), 0, ignore); err != nil {
				t.Fatal(err)
			}
			wantStaged(t, s, src)
		})
	}
}

// What goes on needs room for what is left only.
func TestStagingNeedsRoomForTheRest(t *testing.T) {
	p, s := stageTest(t)
	src := newMemory(48 << 20)
	src.ends = 40 << 20
	if _, _, err := p.stage(t.Context(), s, src, plainDigest(), 0, ignore); !errors.Is(err, io.ErrUnexpectedEOF) || s.load().bytes() == 0 {
		t.Fatalf("not cut off behind a range: %v", err)
	}
	src.ends = 0
	rest := src.pin.Size - s.load().bytes()
	p.free = func(string) (int64, error) { return rest - 1, nil }
	if _, _, err := p.stage(t.Context(), s, src, plainDigest(), 0, ignore); errcode.Of(err) != errcode.NoSpace {
		t.Errorf("with too little room: %v", err)
	}
	p.free = func(string) (int64, error) { return rest, nil }
	if _, _, err := p.stage(t.Context(), s, src, plainDigest(), 0, ignore); err != nil {
		t.Error(err)
	}
	wantStaged(t, s, src)
}

// An attempt never cuts or overwrites what another one is writing.
func TestAttemptsAtStagingExcludeEachOther(t *testing.T) {
	for _, random := range []bool{true, false} {
		p, s := stageTest(t)
		old, young := newMemory(32<<20), newMemory(32<<20)
		old.pin.Random, young.pin.Random = random, random
		young.fill = 'b'
		tried := false
		_, _, err := p.stage(t.Context(), s, old, plainDigest(), 0, func(done, _ int64, _ []byte) {
			if tried || done < 16<<20 {
				return
			}
			tried = true
			ctx, cancel := context.WithTimeout(t.Context(), 4*lockEvery)
			defer cancel()
			if _, _, err := p.stage(ctx, s, young, plainDigest(), 0, ignore); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("random %v: a second attempt meanwhile: %v", random, err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		wantStaged(t, s, old)
	}
}

// An attempt whose file was thrown away vouches for nothing any more.
func TestRemovedStagingIsNotVouchedFor(t *testing.T) {
	p, s := stageTest(t)
	removed := false
	_, _, err := p.stage(t.Context(), s, newMemory(32<<20), plainDigest(), 0, func(int64, int64, []byte) {
		if removed {
			return
		}
		removed = true
		if err := s.remove(); err != nil {
			t.Error(err)
		}
		if err := os.Mkdir(s.dir, 0o700); err != nil {
			t.Error(err)
		}
	})
	if errcode.Of(err) != errcode.UploadFenced {
		t.Errorf("got %v, want %s", err, errcode.UploadFenced)
	}
	if _, err := os.Stat(s.sidecar()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a sidecar for bytes that are gone: %v", err)
	}
}

// However fast the bytes come, what is not durable yet stays little.
func TestCheckpointsAreDueByBytesToo(t *testing.T) {
	p := &Pipeline{CheckpointEvery: 1 << 62}
	if now := time.Now(); p.checkpointDue(now, checkpointBytes-1) || !p.checkpointDue(now, checkpointBytes) {
		t.Error("a checkpoint is not due by what was written")
	}
}

// plainDigest is a digester that nobody has asked for.
func plainDigest() *digester {
	return &digester{lanes: []lane{{"sha256", sha256.New()}}}
}

// TestSeveralDigestsGoOnWhereTheyWere cuts a staging off that takes several digests
// at once, and holds each against a hash of its own.
func TestSeveralDigestsGoOnWhereTheyWere(t *testing.T) {
	several := func() *digester {
		d := plainDigest()
		d.add("sha512", sha512.New())
		d.add("md5", md5.New())
		salted := sha512.New()
		salted.Write([]byte("salt"))
		d.add("sha512+73616c74", salted)
		return d
	}
	p, s := stageTest(t)
	src := newMemory(48<<20 + 1)
	// How far the digests are is noted with each range: the last ones come behind some of them.
	src.held, src.heldFrom = make(chan struct{}), 24<<20
	behind := sync.OnceFunc(func() { close(src.held) })
	defer behind()
	ctx, cancel := context.WithCancel(t.Context())
	if _, _, err := p.stage(ctx, s, src, several(), 0, func(done, _ int64, _ []byte) {
		if done < 16<<20 {
			return
		}
		behind()
		if soon(func() bool { return s.load().Off > 0 }) {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	// Another list of digests cannot go on there; the one that was kept still can.
	data := bytes.Repeat([]byte{src.fill}, int(src.pin.Size))
	want := several()
	want.Write(data)
	for _, round := range []string{"going on", "done"} {
		_, got, err := p.stage(t.Context(), s, src, several(), 0, ignore)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range want.lanes {
			if g := got.sum(l.name); g != want.sum(l.name) {
				t.Errorf("%s: %s is %s", round, l.name, g)
			}
		}
	}
	if _, got, err := p.stage(t.Context(), s, src, plainDigest(), 0, ignore); err != nil || got.sum("sha256") != want.sum("sha256") {
		t.Errorf("with another list: %v", err)
	}
	for _, state := range [][]byte{nil, []byte("x"), make([]byte, 300), bytes.Repeat([]byte{0xff}, 300)} {
		if several().restored(state) {
			t.Errorf("a state of %d bytes is taken up", len(state))
		}
	}
}
