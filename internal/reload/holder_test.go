package reload

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// text is a document that may not be empty.
type text string

func (t text) Digest() string { return string(t) }

func load(path string) (text, error) {
	raw, err := Read(path, 10)
	switch {
	case err != nil:
		return "", err
	case len(raw) == 0:
		return "", errors.New("empty")
	case len(raw) > 10:
		return "", errors.New("too large")
	}
	return text(raw), nil
}

func TestHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log strings.Builder
	var told []string
	o := Options[text]{Path: path, Load: load, Log: zerolog.New(&log), Told: func(d text) { told = append(told, string(d)) }}
	if _, err := Open(o); !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), path) {
		t.Fatalf("a file that is not there: %v", err)
	}
	write("one")
	h, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text    string
		want    text
		refused bool
	}{{"two", "two", false}, {"", "two", true}, {"", "two", true}, {"two", "two", false}, {"far too large", "two", true}, {"three", "three", false}} {
		write(c.text)
		if err := h.Reload(); (err != nil) != c.refused || h.Current() != c.want {
			t.Errorf("after %q: %q, %v", c.text, h.Current(), err)
		}
	}
	if n := strings.Count(log.String(), "stays"); n != 2 || strings.Join(told, " ") != "one two three" {
		t.Errorf("%d refusals told, documents %q; log:\n%s", n, told, log.String())
	}
}

func TestNoHolder(t *testing.T) {
	var h *Holder[text]
	if h.Current() != "" {
		t.Error("a nil holder holds something")
	}
}

func TestRunReloadsWhenTold(t *testing.T) {
	for name, every := range map[string]time.Duration{"by signal": time.Hour, "by time": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, []byte("one"), 0o600); err != nil {
				t.Fatal(err)
			}
			h, err := Open(Options[text]{Path: path, Load: load, Log: zerolog.Nop()})
			if err != nil {
				t.Fatal(err)
			}
			now := make(chan os.Signal, 1)
			go h.Run(t.Context(), every, now)
			if err := os.WriteFile(path, []byte("two"), 0o600); err != nil {
				t.Fatal(err)
			}
			if every == time.Hour {
				now <- os.Interrupt
			}
			for deadline := time.Now().Add(10 * time.Second); h.Current() != "two"; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("not loaded")
				}
			}
		})
	}
}
