package workflows_test

import (
	"testing"

	"go.temporal.io/sdk/temporal"

	"ingest/internal/contract"
	"ingest/metadata"
)

// announce starts the workflow as a bulk starts its items.
func (b *bench) announce() {
	b.t.Helper()
	status := temporal.NewSearchAttributeKeyKeyword(contract.AttrTaskStatus)
	if err := b.env.SetTypedSearchAttributesOnStart(temporal.NewSearchAttributes(status.ValueSet("processing"))); err != nil {
		b.t.Fatal(err)
	}
}

// stagesBegun counts the events by which the task's history tells of stages without saying that
// an attempt has ended.
func (b *bench) stagesBegun() (n int) {
	b.t.Helper()
	events, err := b.cat.Events(b.t.Context(), taskID)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range events {
		if e.Kind == metadata.EventStage && e.Attempt == 0 {
			n++
		}
	}
	return n
}

// The item of a bulk that is done in a moment says what it is at its end, and nothing on
// the way; one that takes a while says that it is being converted when figures come.
func TestItemsOfBulksAreQuiet(t *testing.T) {
	quick := newBench(t)
	quick.announce()
	if _, err := quick.run(request); err != nil {
		t.Fatal(err)
	}
	if n := quick.stagesBegun(); quick.upserts != 1 || n != 0 {
		t.Errorf("%d writes of search attributes and %d of stages, want one at the end and none", quick.upserts, n)
	}
	quick.wantStatus(metadata.TaskSuccess, metadata.ImageActive)

	slow := newBench(t)
	slow.announce()
	at := 0
	tell := func() {
		slow.env.SignalWorkflow(contract.ProgressSignal, contract.Progress{TaskID: taskID, Stage: contract.StageConvert, Attempt: 1, ObservedAt: slow.env.Now()})
	}
	slow.blockConvert(tell, tell, func() { at = slow.upserts })
	if _, err := slow.run(request); err != nil {
		t.Fatal(err)
	}
	if at != 1 || slow.upserts != 2 {
		t.Errorf("%d writes of search attributes while it is converted, %d in all; want 1 of 2", at, slow.upserts)
	}

	loud := newBench(t)
	if _, err := loud.run(request); err != nil {
		t.Fatal(err)
	}
	if n := loud.stagesBegun(); n != 7 || loud.upserts != 3 {
		t.Errorf("an import by itself writes %d stages and %d times attributes, want 7 and 3", n, loud.upserts)
	}
}
