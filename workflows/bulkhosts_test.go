package workflows_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// ofHost says of an item's key whether its source is the second host's.
func ofHost(key string) bool { return (key[0]-'a')%2 == 1 }

// ends counts the items of each host by how they have ended.
func (b *bulkBench) ends() (good, bad map[string]int) {
	b.t.Helper()
	items, err := b.cat.BulkItems(context.Background(), bulkID, metadata.ItemFilter{})
	b.must(err)
	good, bad = map[string]int{}, map[string]int{}
	for _, it := range items {
		out := good
		if ofHost(it.Key) {
			out = bad
		}
		out[strings.TrimSuffix(string(it.State)+":"+it.Code, ":")]++
	}
	return good, bad
}

// A host that answers nobody is given up: its items fail with what it failed with, without
// all being tried, and those of the other host are not held up.
func TestBulkGivesAHostUp(t *testing.T) {
	b := newBulkBench(t, func(key string, _ int) (time.Duration, errcode.Code) {
		if ofHost(key) {
			return time.Minute, errcode.SourceUnreachable
		}
		return time.Minute, ""
	})
	out, err := b.do(manifest(20, `"limits":{"concurrency":2,"per_host":1},"breaker":{"failures":2,"pause_seconds":60,"max_pause_seconds":60,"give_up_seconds":600},`))
	good, bad := b.ends()
	if err != nil || out.Status != "partial" || good["active"] != 10 || bad["failed:"+string(errcode.SourceUnreachable)] != 10 {
		t.Errorf("%+v, %v: %v and %v", out, err, good, bad)
	}
	tried := 0
	for _, key := range b.started {
		if ofHost(key) {
			tried++
		}
	}
	if tried < 3 || tried > 8 {
		t.Errorf("the host was tried %d times", tried)
	}
	if took := b.env.Now().Sub(b.began); took < 12*time.Minute || took > 14*time.Minute { // two attempts, and ten minutes
		t.Errorf("the bulk took %v", took)
	}
	if at := b.at["s"]; at > 11*time.Minute {
		t.Errorf("the last item of the other host began after %v", at)
	}
}

// A host that answers again goes on where it was.
func TestBulkGoesOnWithAHostThatIsBack(t *testing.T) {
	tries := 0
	b := newBulkBench(t, func(key string, _ int) (time.Duration, errcode.Code) {
		if ofHost(key) {
			if tries++; tries <= 3 {
				return time.Minute, errcode.SourceTooSlow
			}
		}
		return time.Minute, ""
	})
	out, err := b.do(manifest(20, `"limits":{"concurrency":2,"per_host":1},"breaker":{"failures":2,"pause_seconds":60,"give_up_seconds":3600},`))
	good, bad := b.ends()
	if err != nil || out.Status != "partial" || good["active"] != 10 || bad["active"] != 7 || bad["failed:"+string(errcode.SourceTooSlow)] != 3 {
		t.Errorf("%+v, %v: %v and %v", out, err, good, bad)
	}
	if a, z := b.at["f"], b.at["h"]; a < 3*time.Minute || z < a+2*time.Minute {
		t.Errorf("the first try began after %v, the second after %v", a, z)
	}
}

// What still waits for a host that is given up is stopped with it.
func TestBulkStopsWhatWaitsForAHostThatIsGivenUp(t *testing.T) {
	b := newBulkBench(t, func(key string, _ int) (time.Duration, errcode.Code) {
		switch {
		case key == "b":
			return 100 * time.Hour, ""
		case ofHost(key):
			return time.Minute, errcode.SourceUnreachable
		}
		return time.Minute, ""
	})
	// A child of this environment ends as soon as it is asked to, and does not say so in the
	// catalogue, as a real one does.
	stopped := 0
	b.env.SetOnChildWorkflowCompletedListener(func(info *workflow.Info, _ converter.EncodedValue, err error) {
		if temporal.IsCanceledError(err) {
			stopped++
			task := info.WorkflowExecution.ID[strings.LastIndexByte(info.WorkflowExecution.ID, '/')+1:]
			b.must(b.cat.Fail(context.Background(), task, metadata.TaskError{Code: errcode.TaskCancelled, Message: "stopped"}))
		}
	})
	out, err := b.do(manifest(12, `"limits":{"concurrency":4,"per_host":2},"breaker":{"failures":2,"pause_seconds":60,"give_up_seconds":120},`))
	good, bad := b.ends()
	if err != nil || out.Status != "partial" || good["active"] != 6 || bad["failed:"+string(errcode.SourceUnreachable)] != 6 {
		t.Errorf("%+v, %v: %v and %v", out, err, good, bad)
	}
	if took := b.env.Now().Sub(b.began); stopped != 1 || took > time.Hour {
		t.Errorf("%d were stopped, the bulk took %v", stopped, took)
	}
}
