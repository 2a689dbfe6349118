package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ingest/internal/contract"
	"ingest/internal/provenance"
)

const (
	// promised is how soon after the restart of a killed server an import goes on: ten
	// seconds until its worker counts as dead, two until the next attempt, and what the
	// server and the attempt take to begin.
	promised = 15 * time.Second
	// busyMore is what a busy machine may add. What is wrong adds more: other timeouts
	// and pauses are half a minute and longer.
	busyMore = 10 * time.Second
)

// loopback lets a server reach origins.
var loopback = []string{"--allow-net", "127.0.0.0/8"}

// goesOn waits for a sign of work after the restart: an event, or progress that
// was observed since.
func (s *server) goesOn(id string) {
	s.t.Helper()
	eventually(s.t, time.Minute, "work after the restart", func() (bool, string) {
		task := s.task(id)
		if task.Finished() || task.Events[len(task.Events)-1].At.After(s.began) {
			return true, ""
		}
		p := s.progress(id)
		return p.ObservedAt.After(s.began), show(p)
	})
	took := time.Since(s.began)
	s.t.Logf("ready %.1f s after the restart, work goes on after %.1f s", s.ready.Sub(s.began).Seconds(), took.Seconds())
	if took > promised+busyMore {
		s.t.Errorf("work went on %v after the restart, promised are %v, and %v more on a busy machine", took, promised, busyMore)
	}
}

// crash kills the server, starts it again and waits for work to go on.
func (s *server) crash(id string) {
	s.t.Helper()
	s.kill9()
	s.restart()
	s.goesOn(id)
}

func sha256Of(t testing.TB, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

func TestKill9DuringFetchOfAStream(t *testing.T) {
	t.Parallel()
	raw := disk(t, 1, 32*mib)
	from := serveFile(t, raw, false, 4*mib).slowBehind(12 * mib)
	s := start(t, loopback)
	id := s.submit(of(from.URL, contract.TargetSpec{Format: "qcow2"})).TaskID
	s.await(id, contract.StageFetch, 4*mib)
	from.rate.Store(0)
	s.crash(id)
	s.succeeded(id, contentOf(t, raw))
}

func TestKill9DuringFetchOfRanges(t *testing.T) {
	t.Parallel()
	raw := disk(t, 2, 64*mib)
	from := serveFile(t, raw, true, 16*mib).slowBehind(48 * mib)
	s := start(t, loopback)
	req := of(from.URL, contract.TargetSpec{Format: "raw"})
	req.Source.Checksum = sha256Of(t, raw)
	id := s.submit(req).TaskID
	s.await(id, contract.StageFetch, 36*mib)
	if len(files(t, s.path("store", "uploads"))) == 0 {
		t.Error("nothing is converted while the source comes in")
	}
	before := from.sent.Load()
	from.rate.Store(0)
	s.crash(id)
	s.succeeded(id, contentOf(t, raw))
	goesOnBehind(t, from, before)
}

// goesOnBehind checks that the origin was asked for less than everything after
// the kill, when it had sent so much before.
func goesOnBehind(t testing.TB, from *origin, before int64) {
	t.Helper()
	after := from.sent.Load() - before
	t.Logf("sent %.1f of %.1f MiB before, %.1f MiB after", float64(before)/mib, float64(from.size)/mib, float64(after)/mib)
	if after >= from.size {
		t.Errorf("%d bytes were sent after the restart for a source of %d: it began again from zero", after, from.size)
	}
}

func TestKill9DuringConvert(t *testing.T) {
	for _, target := range []contract.TargetSpec{{Format: "raw"}, {Format: "qcow2", Compression: "zlib"}, {Format: "vmdk"}} {
		t.Run(target.Format, func(t *testing.T) {
			t.Parallel()
			raw := disk(t, 3, 160*mib) // several times what is read ahead
			from := serveFile(t, raw, true, 16*mib).slowBehind(128 * mib)
			s := start(t, loopback)
			id := s.submit(of(from.URL, target)).TaskID
			s.await(id, contract.StageConvert, 88*mib)
			before := from.sent.Load()
			from.rate.Store(0)
			s.crash(id)
			s.succeeded(id, contentOf(t, raw))
			goesOnBehind(t, from, before)
		})
	}
}

// A step that has done its work stands still, so that the kill meets the moment
// between the work and the word that it is done.
func TestKill9BehindAStep(t *testing.T) {
	for _, c := range []struct {
		step contract.Stage
		done func(s *server) bool // the step's work has been done
	}{
		{contract.StageChecksum, func(s *server) bool { return len(files(s.t, s.path("store", "objects"))) == 0 }},
		{contract.StageStore, func(s *server) bool { return len(files(s.t, s.path("store", "objects"))) == 2 }},
	} {
		t.Run(string(c.step), func(t *testing.T) {
			t.Parallel()
			raw := disk(t, 4, 16*mib)
			keys := t.TempDir()
			key, err := provenance.NewKey(filepath.Join(keys, "key.pem"))
			if err != nil {
				t.Fatal(err)
			}
			s := start(t, []string{"--file-roots", filepath.Dir(raw), "--provenance-key", filepath.Join(keys, "key.pem")}, "INGEST_TEST_STALL="+string(c.step)+"=60s")
			id := s.submit(of(raw, contract.TargetSpec{Format: "qcow2", Compression: "zstd"})).TaskID
			eventually(t, time.Minute, "the step", func() (bool, string) {
				task := s.task(id)
				return task.Stage == string(c.step) && c.done(s), show(task)
			})
			s.stalled(c.step)
			time.Sleep(1500 * time.Millisecond) // a heartbeat is sent
			if got := s.task(id).Stage; got != string(c.step) {
				t.Fatalf("the import stands still at %s, want %s", got, c.step)
			}
			s.crash(id)
			img := s.succeeded(id, contentOf(t, raw))
			if err := s.recorded(img, img.HashValue).Verify(key.Public()); err != nil {
				t.Errorf("the record of the import that was killed: %v", err)
			}
		})
	}
}

func TestKill9AgainAndAgain(t *testing.T) {
	t.Parallel()
	raw := disk(t, 5, 48*mib)
	from := serveFile(t, raw, true, 4*mib)
	s := start(t, loopback)
	id := s.submit(of(from.URL, contract.TargetSpec{Format: "qcow2", Compression: "zlib"})).TaskID
	random := rand.New(rand.NewPCG(9, 9))
	for range 4 {
		pause := time.Duration(random.IntN(9000)) * time.Millisecond
		time.Sleep(pause)
		p := s.progress(id)
		t.Logf("killed %.1f s after the start: %s, attempt %d, %d bytes", time.Since(s.began).Seconds(), p.Stage, p.Attempt, p.Bytes)
		s.kill9()
		s.restart()
	}
	s.goesOn(id)
	from.rate.Store(0)
	s.succeeded(id, contentOf(t, raw))
}

// What was answered is kept: a kill right behind the answers loses no import.
func TestKill9BehindTheAnswer(t *testing.T) {
	t.Parallel()
	raw := disk(t, 13, 4*mib)
	s := start(t, []string{"--file-roots", filepath.Dir(raw)})
	var ids []string
	for range 5 {
		ids = append(ids, s.submit(of(raw, contract.TargetSpec{Format: "qcow2"})).TaskID)
	}
	s.kill9()
	s.restart()
	content := contentOf(t, raw)
	for _, id := range ids {
		s.goesOn(id)
	}
	for _, id := range ids {
		s.succeeded(id, content)
	}
}
