package otherreaders

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ingest/formats"
	"ingest/internal/imgtest"
)

// SkipEnv is the environment variable that turns a missing program from a
// failure into a skip.
const SkipEnv = "INGEST_SKIP_OTHER_READERS"

// hangs is after what time a program is given up.
const hangs = 2 * time.Minute

// A Reader is a program that reads disk images.
type Reader struct {
	Name     string
	Packages []string // of Debian
	Formats  []formats.Name
	// Limits are what it does not read, or reads wrongly, of its formats.
	Limits []Limit
	// find returns the program's path, or what is missing.
	find func() (string, error)
	// version are the arguments for which it says its version.
	version []string
	// read writes the guest's bytes to a file.
	read func(ctx context.Context, program string, f formats.Name, image, raw string) error
}

// A Limit is a kind of image that a program does not read.
type Limit struct {
	Why  string
	Hits func(info formats.Info) bool
}

// All returns every program.
func All() []Reader { return []Reader{SevenZip(), Libyal()} }

// Refuses returns why the program does not read an image, of which info are the
// facts as ingest's own reader tells them; "" if it reads it.
func (r Reader) Refuses(info formats.Info) string {
	if !slices.Contains(r.Formats, info.Format) {
		return fmt.Sprintf("%s is not among its formats", info.Format)
	}
	for _, l := range r.Limits {
		if l.Hits(info) {
			return l.Why
		}
	}
	return ""
}

// Need returns the program's path. Without it the test fails, or is skipped if
// SkipEnv is set.
func (r Reader) Need(t testing.TB) string {
	t.Helper()
	path, err := r.find()
	if err == nil {
		return path
	}
	if os.Getenv(SkipEnv) != "" {
		message := fmt.Sprintf("NOT TESTED: %s is absent and %s is set", r.Name, SkipEnv)
		fmt.Fprintln(os.Stderr, message)
		t.Skip(message)
	}
	t.Fatalf("%s is a witness of this test and is absent (%v): run scripts/setup or install %s, or set %s to skip",
		r.Name, err, strings.Join(r.Packages, " "), SkipEnv)
	return ""
}

// Version returns what the program says of its version.
func (r Reader) Version(t testing.TB) string {
	t.Helper()
	out, err := exec.Command(r.Need(t), r.version...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", r.Name, err, out)
	}
	return strings.TrimSpace(string(out))
}

// Read has the program read the image file and returns the path of a raw file
// of the guest's bytes in the test's own folder. It fails the test if the
// program does.
func (r Reader) Read(t testing.TB, image string, f formats.Name) string {
	t.Helper()
	raw, err := r.TryRead(t, image, f)
	if err != nil {
		t.Fatalf("%s reads %s: %v", r.Name, f, err)
	}
	return raw
}

// TryRead is Read that returns the program's error.
func (r Reader) TryRead(t testing.TB, image string, f formats.Name) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	raw := filepath.Join(t.TempDir(), "read.raw")
	if err := r.read(ctx, r.Need(t), f, image, raw); err != nil {
		return raw, err
	}
	_, err := os.Stat(raw)
	return raw, err
}

// Check has every program that reads such images read the image file, but for
// those whose names are in not, and fails the test unless each sees the virtual
// size that info tells, want's bytes, and zeros behind them. It returns the names
// of those that have read it.
func Check(t testing.TB, image string, info formats.Info, want imgtest.Content, not ...string) []string {
	t.Helper()
	var names []string
	for _, r := range All() {
		if slices.Contains(not, r.Name) {
			continue
		}
		if why := r.Refuses(info); why != "" {
			t.Logf("not read by %s: %s", r.Name, why)
			continue
		}
		if err := Compare(t, r.Read(t, image, info.Format), info.VirtualSize, want); err != nil {
			t.Errorf("%s reads %s %s: %v", r.Name, info.Format, info.Subformat, err)
		}
		names = append(names, r.Name)
	}
	return names
}

// Compare returns an error unless the raw file has so many bytes, and they are
// want's and zeros behind them.
func Compare(t testing.TB, raw string, virtualSize int64, want imgtest.Content) error {
	t.Helper()
	got := imgtest.OpenFile(t, raw)
	if got.Size() != virtualSize || want.Size() > virtualSize {
		return fmt.Errorf("virtual size is %d, want %d for a source of %d", got.Size(), virtualSize, want.Size())
	}
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	for off := int64(0); off < virtualSize; {
		start, err := nextOfBoth(got, want, off)
		if err != nil || start >= virtualSize {
			return err
		}
		n := int(min(int64(len(a)), virtualSize-start))
		if k, err := got.ReadAt(a[:n], start); k < n {
			return fmt.Errorf("read %d bytes at %d: %d, %w", n, start, k, err)
		}
		k, err := want.ReadAt(b[:n], start)
		if err != nil && err != io.EOF {
			return err
		}
		clear(b[k:n])
		if !bytes.Equal(a[:n], b[:n]) {
			for i := range a[:n] {
				if a[i] != b[i] {
					return fmt.Errorf("guest byte %d is %#02x, want %#02x", start+int64(i), a[i], b[i])
				}
			}
		}
		off = start + int64(n)
	}
	return nil
}

// nextOfBoth returns the first offset at or after off where one of the two has
// data, or an offset behind both.
func nextOfBoth(a, b imgtest.Content, off int64) (int64, error) {
	next := max(a.Size(), b.Size())
	for _, c := range []imgtest.Content{a, b} {
		start, end, err := c.NextData(off)
		if err != nil {
			return 0, err
		}
		if start < end {
			next = min(next, start)
		}
	}
	return next, nil
}
