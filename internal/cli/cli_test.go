package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/progress"
)

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errcode.New(errcode.Empty, "x"), 1},
		{errors.New("x"), 1},
		{ErrReported, 1},
		{fmt.Errorf("wrapped: %w", &UsageError{}), 2},
		{ErrDetached, 130},
		{context.Canceled, 130},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("%v: got %d, want %d", c.err, got, c.want)
		}
	}
}

func TestPrintError(t *testing.T) {
	off := int64(24)
	whole := errcode.New(errcode.QCOW2Version, "version is 9").With(errcode.Evidence{Format: "qcow2", Structure: "header", Field: "version", Offset: &off, Value: "9\x1b[2J", Limit: "2 or 3"})
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"whole", whole, "error: IMG_QCOW2_VERSION version is 9\n" +
			"  evidence: format qcow2, structure header, field version, offset 24, value 9?[2J, limit 2 or 3\n" +
			"  what to do: " + errcode.Lookup(errcode.QCOW2Version).Remedy + "\n"},
		{"without code", errors.New("disk full"), "error: INTERNAL disk full\n"},
		{"usage", &UsageError{"unknown flag: --x", "ingest import"}, "error: unknown flag: --x\nSee `ingest import --help`.\n"},
		{"said", ErrReported, ""},
		{"detached", ErrDetached, ""},
		{"none", nil, ""},
	} {
		var out bytes.Buffer
		PrintError(&out, c.err, false)
		if diff := cmp.Diff(c.want, out.String()); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	var out bytes.Buffer
	PrintError(&out, errcode.New(errcode.Empty, "no bytes"), true)
	want := "{\n  \"error\": {\n    \"code\": \"IMG_EMPTY\",\n    \"message\": \"no bytes\",\n    \"remedy\": \"" + errcode.Lookup(errcode.Empty).Remedy + "\"\n  }\n}\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	if err := Table(&out, []string{"NAME", ">SIZE", "STATUS"}, [][]string{{"ä", "5 B", "active"}, {"long\nname\x1b[31m", "1.00 GiB", ""}}); err != nil {
		t.Fatal(err)
	}
	want := "NAME                SIZE  STATUS\n" +
		"ä                    5 B  active\n" +
		"long name?[31m  1.00 GiB\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	if err := Fields(&out, "id", "1", "name", "", "status", "active"); err != nil || out.String() != "id      1\nstatus  active\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

// watched answers one step at each question.
type watched struct {
	steps []any // contract.Progress or error
	n     int
}

func (w *watched) Progress(context.Context, string) (contract.Progress, error) {
	s := w.steps[min(w.n, len(w.steps)-1)]
	w.n++
	if err, ok := s.(error); ok {
		return contract.Progress{}, err
	}
	return s.(contract.Progress), nil
}

func (w *watched) Task(_ context.Context, id string) (wire.Task, error) {
	return wire.Task{ID: id, Status: "success"}, nil
}

func TestFollow(t *testing.T) {
	run := contract.Progress{Stage: "fetch", Status: "processing"}
	end := contract.Progress{Stage: "done", Status: "success"}
	away := errcode.New(errcode.ServerUnreachable, "away")
	for _, c := range []struct {
		name  string
		steps []any
		want  errcode.Code
		polls int
	}{
		{"to the end", []any{run, run, end}, "", 3},
		{"over a restart", []any{run, away, away, run, end}, "", 5},
		{"gone", []any{run, errcode.New(errcode.NotFound, "gone")}, errcode.NotFound, 2},
		{"no ingest server", []any{errcode.New(errcode.Internal, "html")}, errcode.Internal, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &watched{steps: c.steps}
			d := progress.New(io.Discard, true)
			defer d.Close()
			task, err := Follow(context.Background(), w, "id", d)
			if errcode.Of(err) != c.want || w.n != c.polls || (err == nil) != task.Finished() {
				t.Errorf("got %+v, %v after %d questions", task, err, w.n)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Follow(ctx, &watched{steps: []any{run}}, "id", progress.New(nil, true)); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled follow returns %v", err)
	}
}

// history is a task whose history is given.
type history struct{ events []wire.Event }

func (h history) Progress(context.Context, string) (contract.Progress, error) {
	return contract.Progress{Stage: "done", Status: "success"}, nil
}

func (h history) Task(context.Context, string) (wire.Task, error) {
	return wire.Task{ID: "id", Status: "success", Events: h.events}, nil
}

// What was found inside is one line behind the validation of its disk, without what
// could move a terminal's cursor.
func TestFollowSaysWhatIsInside(t *testing.T) {
	report := func(seq int64, stage, detail string) wire.Event {
		return wire.Event{Seq: seq, Kind: "report", Stage: stage, Detail: []byte(detail)}
	}
	done := func(seq int64, stage, message string) wire.Event {
		return wire.Event{Seq: seq, Kind: "stage", Stage: stage, Attempt: 1, Seconds: 1, Message: message}
	}
	h := history{[]wire.Event{
		report(1, "detect", `{"guest":{"summary":"no"}}`), done(2, "detect", ""),
		report(3, "validate", `{"guest":{"summary":"Debian 12\u001b[2J, x86_64"}}`), done(4, "validate", "disk 1"),
		report(5, "validate", `{"target":{}}`), done(6, "validate", "disk 2"),
		report(7, "validate", `not JSON`), done(8, "convert", ""),
	}}
	var out bytes.Buffer
	d := progress.New(&out, false)
	if _, err := Follow(t.Context(), h, "id", d); err != nil {
		t.Fatal(err)
	}
	d.Close()
	want := "detect    done in 1.0s\nvalidate 1 done in 1.0s\ninside    Debian 12?[2J, x86_64\nvalidate 2 done in 1.0s\nconvert   done in 1.0s\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
}
