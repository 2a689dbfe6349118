package livefile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"ingest/internal/errcode"
)

func parse(b []byte) (string, error) {
	if bytes.Contains(b, []byte("wrong")) {
		return "", errors.New("this is wrong")
	}
	return string(b), nil
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(next, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

func TestAFileIsFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var log bytes.Buffer
	f, err := Open(path, parse, zerolog.New(&log))
	if err != nil || f.Get() != "" {
		t.Fatalf("a file that is not there: %q, %v", f.Get(), err)
	}
	for _, step := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"it comes", "one", 0o600, "one"},
		{"it changes", "two", 0o600, "two"},
		{"it becomes wrong", "wrong", 0o600, "two"},
		{"others may read it", "three", 0o640, "two"},
		{"it is too large", strings.Repeat("a", MaxBytes+1), 0o600, "two"},
		{"it is mended", "four", 0o400, "four"},
	} {
		write(t, path, step.text, step.mode)
		for range 3 {
			if got := f.Get(); got != step.want {
				t.Errorf("%s: %q, want %q", step.name, got, step.want)
			}
		}
	}
	if n := strings.Count(log.String(), "cannot be used"); n != 3 {
		t.Errorf("three wrong files are told of %d times", n)
	}
	if err := os.Remove(path); err != nil || f.Get() != "" {
		t.Errorf("a file that was removed still says %q", f.Get())
	}
}

func TestAWrongFileDoesNotOpen(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "open"), "x", 0o644)
	write(t, filepath.Join(dir, "bad"), "wrong", 0o600)
	for _, name := range []string{"open", ".", "open/file"} {
		if _, err := Open(filepath.Join(dir, name), parse, zerolog.Nop()); errcode.Of(err) != errcode.IdentityFile {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(filepath.Join(dir, "bad"), parse, zerolog.Nop()); err == nil {
		t.Error("a wrong file opens")
	}
}
