package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ingest/internal/contract"
	"ingest/internal/imgtest"
)

// smallDisk mounts a file system of size bytes and returns its folder.
func smallDisk(t testing.TB, size int64) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size))
	if errors.Is(err, unix.EPERM) && (os.Getenv(imgtest.SkipEnv) != "" || os.Geteuid() != 0) {
		t.Skipf("NOT TESTED: a disk that is full, since nothing can be mounted: %v", err)
	}
	if err != nil {
		t.Fatalf("mount a small disk: %v (set %s to go without)", err, imgtest.SkipEnv)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes a file until its disk is full, and returns it.
func fill(t testing.TB, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for len(block) >= 4096 {
		if _, err := f.Write(block); errors.Is(err, unix.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// TestFullDisk has staging, store, catalogue and workflows on one small disk, which is
// too small from the begin, or is filled by somebody else in the middle of each stage.
// Each import says so and leaves nothing behind, and the next one succeeds.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	const room = 192 * mib
	small := smallDisk(t, room)
	s := startIn(t, filepath.Join(small, "data"), loopback)
	raw := disk(t, 51, 48*mib)
	content := contentOf(t, raw)

	t.Run("too large from the begin", func(t *testing.T) {
		s := s.in(t)
		from := serveFile(t, disk(t, 52, room), true, 0)
		s.failed(s.submit(of(from.URL, contract.TargetSpec{Format: "raw"})).TaskID, "NO_SPACE")
		// What tells the format and looks inside, no more.
		if sent := from.sent.Load(); sent > 16*mib {
			t.Errorf("%d bytes were sent for an image that cannot fit", sent)
		}
	})
	t.Run("too large to be staged", func(t *testing.T) {
		s := s.in(t)
		from := serveFile(t, disk(t, 53, room), true, 0)
		req := of(from.URL, contract.TargetSpec{Format: "raw"})
		req.Source.Checksum = "sha256:" + fmt.Sprintf("%064d", 1)
		s.failed(s.submit(req).TaskID, "NO_SPACE")
		if sent := from.sent.Load(); sent > 16*mib {
			t.Errorf("%d bytes were sent for a source that cannot be staged", sent)
		}
	})
	for _, c := range []struct {
		name   string
		ranges bool
		stage  contract.Stage
		target contract.TargetSpec
	}{
		{"staging, of unknown length", false, contract.StageFetch, contract.TargetSpec{Format: "raw"}},
		{"store, by a plan", true, contract.StageConvert, contract.TargetSpec{Format: "raw"}},
		{"store, by an encoder", true, contract.StageConvert, contract.TargetSpec{Format: "qcow2", Compression: "zlib"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.in(t)
			from := serveFile(t, raw, c.ranges, 8*mib).slowBehind(24 * mib)
			id := s.submit(of(from.URL, c.target)).TaskID
			s.await(id, c.stage, 8*mib)
			began := time.Now()
			filler := fill(t, small)
			from.rate.Store(0)
			s.failed(id, "NO_SPACE")
			t.Logf("told %.1f s after the disk was full", time.Since(began).Seconds())
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			s.succeeded(s.submit(of(from.URL, c.target)).TaskID, content)
		})
	}
}
