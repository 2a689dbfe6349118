package staged

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/sources"
	"ingest/sources/sourcetest"
)

func TestDriver(t *testing.T) {
	sourcetest.Run(t, func(tb testing.TB, content []byte) sourcetest.Fixture {
		dir, id := tb.TempDir(), uuid.NewString()
		path := filepath.Join(dir, id, FileName)
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			tb.Fatal(err)
		}
		mtime := time.Unix(1_700_000_000, 0)
		write := func(content []byte) {
			mtime = mtime.Add(time.Nanosecond)
			if err := errors.Join(os.WriteFile(path, content, 0o600), os.Chtimes(path, mtime, mtime)); err != nil {
				tb.Fatal(err)
			}
		}
		write(content)
		return sourcetest.Fixture{
			Driver:  New(dir),
			Ref:     sources.Ref{URL: contract.StagedURL("ingest-host-a", id)},
			Replace: write,
			Remove:  func() { os.Remove(path) },
			Cut: func(n int) {
				if err := os.Truncate(path, int64(n)); err != nil {
					tb.Fatal(err)
				}
			},
		}
	})
}

// A URL names an upload by its id, and nothing else below the folder or beside it.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "in"), 0o700), os.WriteFile(filepath.Join(dir, FileName), []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for url, code := range map[string]errcode.Code{
		"staged://q/..":                         errcode.SourceURLInvalid,
		"staged://q/%2e%2e":                     errcode.SourceURLInvalid,
		"staged://q/in":                         errcode.SourceURLInvalid,
		"staged://q/":                           errcode.SourceURLInvalid,
		"staged:///" + uuid.NewString():         errcode.SourceURLInvalid,
		"staged://q/" + uuid.NewString() + "?x": errcode.SourceURLInvalid,
		"file:///etc/passwd":                    errcode.SourceURLInvalid,
		"staged://q/" + uuid.NewString():        errcode.SourceNotFound,
	} {
		if src, err := New(filepath.Join(dir, "in")).Open(t.Context(), sources.Ref{URL: url}, nil); errcode.Of(err) != code {
			t.Errorf("%s: %v, %v; want %s", url, src, err, code)
		}
	}
}
