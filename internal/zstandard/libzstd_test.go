package zstandard

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"ingest/internal/imgtest"
)

// TestAgainstLibzstd has zstd read frames of all kinds of bytes, and holds the size of
// clusters of a program against that of zstd's level 3, which is what qemu-img writes,
// and against that of the fastest level of another encoder.
func TestAgainstLibzstd(t *testing.T) {
	if _, err := exec.LookPath("zstd"); err != nil {
		if os.Getenv(imgtest.SkipEnv) != "" {
			t.Skipf("NOT TESTED: zstd is absent and %s is set", imgtest.SkipEnv)
		}
		t.Fatalf("zstd is a witness of this test and is absent; set %s to skip", imgtest.SkipEnv)
	}
	const cluster = 64 << 10
	e := New()
	var frames, plain []byte
	for _, p := range materials(t) {
		for at, n := 0, 1; at+n <= len(p); at, n = at+n, 3*n+1 {
			frames, _ = e.Frame(frames, p[at:at+n], 1<<30)
			plain = append(plain, p[at:at+n]...)
		}
	}
	cmd := exec.CommandContext(t.Context(), "zstd", "-dc")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(frames), os.Stderr
	if got, err := cmd.Output(); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("zstd reads %d bytes of %d: %v", len(got), len(plain), err)
	}

	dir := t.TempDir()
	fast, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true), zstd.WithWindowSize(cluster))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-3", "-q", "--no-check"}
	var ours, other, theirs int
	p := program(t, 48*cluster)
	for i := 0; i < len(p); i += cluster {
		name := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(name, p[i:i+cluster], 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, name)
		z, _ := e.Frame(nil, p[i:i+cluster], 1<<30)
		ours += len(z)
		other += len(fast.EncodeAll(p[i:i+cluster], nil))
	}
	if out, err := exec.CommandContext(t.Context(), "zstd", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for i := 0; i < len(p); i += cluster {
		info, err := os.Stat(filepath.Join(dir, fmt.Sprint(i, ".zst")))
		if err != nil {
			t.Fatal(err)
		}
		theirs += int(info.Size())
	}
	t.Logf("%d bytes of %d; zstd level 3 %d, the other's fastest level %d", ours, len(p), theirs, other)
	if ours*100 > theirs*106 || ours*100 > other*102 {
		t.Errorf("%d bytes; zstd level 3 makes %d of them, the other's fastest level %d", ours, theirs, other)
	}
}
