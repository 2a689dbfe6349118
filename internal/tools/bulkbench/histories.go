package main

import (
	"context"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
)

// A history is the size of one run of a workflow.
type history struct {
	Events int64
	Bytes  int64
}

// sizeOf asks how long a run's history is; runID "" is the last one.
func sizeOf(ctx context.Context, c client.Client, id, runID string) (history, string, error) {
	d, err := c.DescribeWorkflowExecution(ctx, id, runID)
	if err != nil {
		return history{}, "", err
	}
	info := d.GetWorkflowExecutionInfo()
	return history{info.GetHistoryLength(), info.GetHistorySizeBytes()}, info.GetExecution().GetRunId(), nil
}

// runsOf lists the runs of a workflow that continues as new, the first one first.
func runsOf(ctx context.Context, c client.Client, id string) ([]history, error) {
	var out []history
	for runID := ""; ; {
		h, run, err := sizeOf(ctx, c, id, runID)
		if err != nil {
			return nil, err
		}
		out = append([]history{h}, out...)
		first, err := c.GetWorkflowHistory(ctx, id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT).Next()
		if err != nil {
			return nil, err
		}
		if runID = first.GetWorkflowExecutionStartedEventAttributes().GetContinuedExecutionRunId(); runID == "" {
			return out, nil
		}
	}
}

// largest is the longest of some histories, and sum all of them.
func largest(all []history) (most history) {
	for _, h := range all {
		most = history{max(most.Events, h.Events), max(most.Bytes, h.Bytes)}
	}
	return most
}

func sum(all []history) (out history) {
	for _, h := range all {
		out = history{out.Events + h.Events, out.Bytes + h.Bytes}
	}
	return out
}

// shapeOf counts the activities in the history of an item's workflow.
func shapeOf(ctx context.Context, c client.Client, id string) (shape, error) {
	var s shape
	for it := c.GetWorkflowHistory(ctx, id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); it.HasNext(); {
		e, err := it.Next()
		if err != nil {
			return s, err
		}
		switch e.GetEventType() {
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
			s.Activities++
		case enumspb.EVENT_TYPE_MARKER_RECORDED:
			s.Locals++
		}
	}
	if s.Activities == 0 {
		return s, fmt.Errorf("workflow %s has run no activity", id)
	}
	return s, nil
}
