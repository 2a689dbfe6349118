//go:build !noembed && unix

package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
)

// report is what a child says on its output, one JSON object a line.
type report struct {
	RunID string      // of the workflow, as soon as it is known
	Ready bool        // the server has recorded that the work is half done
	Done  countResult // the workflow's result
	Error string
}

// child runs a server, a worker and one workflow in a process of its own.
func child(dir string) int {
	out := json.NewEncoder(os.Stdout)
	if err := runChild(dir, out); err != nil {
		_ = out.Encode(report{Error: err.Error()})
		return 1
	}
	return 0
}

func runChild(dir string, out *json.Encoder) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	s, err := Start(ctx, Options{Dir: dir, Logger: zerolog.New(os.Stderr)})
	if err != nil {
		return err
	}
	c, err := dial(ctx, s)
	if err != nil {
		return err
	}
	w := newWorker(c, nil)
	if err := w.Start(); err != nil {
		return err
	}
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: "count", TaskQueue: queue, WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
	}, "countTo")
	if err != nil {
		return err
	}
	if err := out.Encode(report{RunID: run.GetRunID()}); err != nil {
		return err
	}
	if err := awaitHalf(ctx, c, run); err != nil {
		return err
	}
	if err := out.Encode(report{Ready: true}); err != nil {
		return err
	}
	var done countResult
	if err := run.Get(ctx, &done); err != nil {
		return err
	}
	w.Stop()
	c.Close()
	return errors.Join(out.Encode(report{Done: done}), s.Stop())
}

// awaitHalf returns once the server has recorded a heartbeat of half the work,
// or the workflow has ended.
func awaitHalf(ctx context.Context, c client.Client, run client.WorkflowRun) error {
	for ctx.Err() == nil {
		d, err := c.DescribeWorkflowExecution(ctx, run.GetID(), run.GetRunID())
		if err != nil {
			return err
		}
		if d.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
			return nil
		}
		for _, a := range d.GetPendingActivities() {
			var at int
			details := a.GetHeartbeatDetails()
			if details != nil && converter.GetDefaultDataConverter().FromPayloads(details, &at) == nil && at >= half {
				return nil
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return ctx.Err()
}

// startChild starts this test program as a child and returns its reports.
func startChild(t *testing.T, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = io.Discard
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewScanner(stdout)
}

// next reads reports until one is what is looked for.
func next(t *testing.T, in *bufio.Scanner, want func(report) bool) report {
	t.Helper()
	for in.Scan() {
		var r report
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			t.Fatalf("child wrote %q", in.Text())
		}
		if r.Error != "" {
			t.Fatalf("child: %s", r.Error)
		}
		if want(r) {
			return r
		}
	}
	t.Fatal("child ended early")
	return report{}
}

func TestWorkGoesOnAfterKill(t *testing.T) {
	dir := t.TempDir()
	cmd, out := startChild(t, dir)
	first := next(t, out, func(r report) bool { return r.RunID != "" })
	next(t, out, func(r report) bool { return r.Ready })
	if err := cmd.Process.Kill(); err != nil { // SIGKILL
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("child ended by itself: %v", err)
	}

	cmd, out = startChild(t, dir)
	second := next(t, out, func(r report) bool { return r.RunID != "" })
	if second.RunID != first.RunID {
		t.Errorf("run id %s after the kill, want %s: the workflow was lost", second.RunID, first.RunID)
	}
	done := next(t, out, func(r report) bool { return r.Done.To != 0 }).Done
	if want := (countResult{half, whole}); done != want {
		t.Errorf("counted %s, want %s", fmt.Sprint(done), fmt.Sprint(want))
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("child: %v", err)
	}
}
