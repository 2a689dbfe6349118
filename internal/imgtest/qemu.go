package imgtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// SkipEnv is the environment variable that turns a missing qemu-img from a
// failure into a skip.
const SkipEnv = "INGEST_SKIP_QEMU"

// NeedQemu returns the path of qemu-img. Without it the test fails, or is
// skipped if SkipEnv is set.
func NeedQemu(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("qemu-img")
	if err == nil {
		return path
	}
	if os.Getenv(SkipEnv) != "" {
		t.Skipf("NOT TESTED: qemu-img is absent and %s is set", SkipEnv)
	}
	t.Fatalf("qemu-img is the oracle of this test and is absent: install qemu-utils, or set %s to skip", SkipEnv)
	return ""
}

// QemuImg runs qemu-img and returns its standard output. The test fails if
// qemu-img does.
func QemuImg(t testing.TB, args ...string) string {
	t.Helper()
	out, stderr, err := TryQemuImg(t, args...)
	// Making LUKS measures the processor, and fails on one that is too busy or
	// too fast to be measured: that says nothing about the test.
	for try := 0; err != nil && try < 20 && strings.Contains(stderr, "accurate CPU usage"); try++ {
		out, stderr, err = TryQemuImg(t, args...)
	}
	if err != nil {
		t.Fatalf("qemu-img %q: %v\n%s%s", args, err, out, stderr)
	}
	return out
}

// TryQemuImg runs qemu-img and returns what it wrote; err is not nil if it
// ends with another status than 0.
func TryQemuImg(t testing.TB, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.Command(NeedQemu(t), args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

// Create makes an image without data of the given virtual size, in bytes, in
// the test's own folder and returns its path. format is qemu's name, such as
// "vpc"; options are values of -o.
func Create(t testing.TB, format string, size int64, options ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image."+format)
	args := append([]string{"create", "-q", "-f", format}, dashO(options)...)
	QemuImg(t, append(args, path, strconv.FormatInt(size, 10))...)
	return path
}

// Convert converts src into a new image in the test's own folder and returns
// its path. The formats are qemu's names; options are values of -o, except
// that those beginning with a dash are arguments of their own, such as "-c".
func Convert(t testing.TB, src, srcFormat, dstFormat string, options ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image."+dstFormat)
	args := []string{"convert", "-f", srcFormat, "-O", dstFormat}
	args = append(args, dashO(options)...)
	QemuImg(t, append(args, src, path)...)
	return path
}

// dashO turns options into arguments.
func dashO(options []string) []string {
	var args []string
	for _, o := range options {
		if o[0] == '-' {
			args = append(args, o)
			continue
		}
		args = append(args, "-o", o)
	}
	return args
}
