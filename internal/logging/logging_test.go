package logging

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"go.temporal.io/sdk/log"
)

// lines decodes the log, and takes the time out of each line after checking it.
func lines(t *testing.T, buf *bytes.Buffer) []map[string]any {
	t.Helper()
	var out []map[string]any
	for _, l := range strings.Split(strings.TrimSpace(buf.String()), "\n") {
		if l == "" {
			continue
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(l), &m); err != nil {
			t.Fatalf("line %q: %v", l, err)
		}
		if _, err := time.Parse(time.RFC3339, fmt.Sprint(m["time"])); err != nil {
			t.Errorf("time of %q: %v", l, err)
		}
		delete(m, "time")
		out = append(out, m)
	}
	return out
}

func TestNewJSON(t *testing.T) {
	var buf bytes.Buffer
	l := New(&buf, JSON, zerolog.InfoLevel)
	l.Debug().Msg("hidden")
	l.Info().Str("image", "i1").Msg("shown")
	want := []map[string]any{{"level": "info", "image": "i1", "message": "shown"}}
	if diff := cmp.Diff(want, lines(t, &buf)); diff != "" {
		t.Error(diff)
	}
}

func TestNewConsoleHasNoColoursInAFile(t *testing.T) {
	var buf bytes.Buffer
	l := New(&buf, Console, zerolog.DebugLevel)
	l.Warn().Int("n", 3).Msg("careful")
	got := buf.String()
	if strings.Contains(got, "\x1b") || !strings.Contains(got, "WRN careful n=3") {
		t.Errorf("console line = %q", got)
	}
}

func TestParseLevel(t *testing.T) {
	for name, want := range map[string]zerolog.Level{"": zerolog.InfoLevel, "debug": zerolog.DebugLevel, "WARN": zerolog.WarnLevel, "disabled": zerolog.Disabled} {
		if got, err := ParseLevel(name); err != nil || got != want {
			t.Errorf("ParseLevel(%q) = %v, %v, want %v", name, got, err, want)
		}
	}
	for _, name := range []string{"loud", "7", "fatal"} {
		if _, err := ParseLevel(name); err == nil {
			t.Errorf("ParseLevel(%q) accepts it", name)
		}
	}
}

func TestCheckFormat(t *testing.T) {
	for name, ok := range map[string]bool{JSON: true, Console: true, "": false, "xml": false} {
		if err := CheckFormat(name); (err == nil) != ok {
			t.Errorf("CheckFormat(%q) = %v", name, err)
		}
	}
}

func TestTemporal(t *testing.T) {
	var buf bytes.Buffer
	l := log.With(Temporal(New(&buf, JSON, zerolog.InfoLevel)), "WorkflowID", "import/a/1")
	l.Debug("hidden")
	l.Info("Started Worker", "TaskQueue", "ingest", "Attempt", 2, 7, "odd")
	l.Warn("fetch", "Error", errors.New(`Get "https://h/k?sig=s3cret": refused`))
	l.Error("unpaired", "Key")
	want := []map[string]any{
		{"level": "info", "WorkflowID": "import/a/1", "TaskQueue": "ingest", "Attempt": 2.0, "7": "odd", "message": "Started Worker"},
		{"level": "warn", "WorkflowID": "import/a/1", "Error": `Get "https://h/k": refused`, "message": "fetch"},
		{"level": "error", "WorkflowID": "import/a/1", "Key": nil, "message": "unpaired"},
	}
	if diff := cmp.Diff(want, lines(t, &buf)); diff != "" {
		t.Error(diff)
	}
}

func TestTemporalHidesCancelledWork(t *testing.T) {
	noise := []error{context.Canceled, fmt.Errorf("poll: %w", context.Canceled), errors.New("rpc error: code = Canceled desc = context canceled"), errors.New("dial tcp 127.0.0.1:1: operation was canceled")}
	for _, err := range noise {
		var info, debug bytes.Buffer
		Temporal(New(&info, JSON, zerolog.InfoLevel)).Error("Activity error.", "Error", err)
		Temporal(New(&debug, JSON, zerolog.DebugLevel)).Error("Activity error.", "Error", err)
		if info.Len() != 0 {
			t.Errorf("%v is logged at info level: %s", err, info.String())
		}
		if got := lines(t, &debug); len(got) != 1 || got[0]["level"] != "debug" {
			t.Errorf("%v at debug level: %v", err, got)
		}
	}
	var buf bytes.Buffer
	Temporal(New(&buf, JSON, zerolog.InfoLevel)).Error("Activity error.", "Error", context.DeadlineExceeded)
	if buf.Len() == 0 {
		t.Error("a passed deadline is taken for a cancelled context")
	}
}
