package activities

import (
	"context"
	"time"

	"github.com/rs/zerolog"
	"go.temporal.io/sdk/activity"

	"ingest/internal/contract"
	"ingest/internal/policy"
	"ingest/internal/provenance"
	"ingest/metadata"
	"ingest/pipeline"
)

// DefaultStall is how long an attempt may stand still before it is given up:
// longer than a store takes to make a few hundred megabytes durable.
const DefaultStall = 2 * time.Minute

// DefaultConcurrency is how many items of a bulk run at once if nobody says: enough to
// keep a small server's slots busy while sources are waited for.
const DefaultConcurrency = 8

// DefaultOwner owns what is imported without an owner.
const DefaultOwner = "default"

// Deps is what the activities are made of.
type Deps struct {
	Steps     pipeline.Steps
	Catalogue *metadata.Catalogue
	// Signaller tells workflows how far they are; nil tells nobody. A Temporal
	// client is one.
	Signaller Signaller
	Log       zerolog.Logger
	// HostQueue is the task queue of this host, as in pipeline.Pipeline.
	HostQueue string
	// Policy returns the operator's policy in force; nil, or one that returns nil,
	// means that there is none.
	Policy func() *policy.Policy
	// MayCreate reports whether property protections let the user of a request make a
	// property; nil lets everybody make any.
	MayCreate func(r contract.ImportRequest, property string) bool
	// Owner owns what is imported without an owner; "" means DefaultOwner.
	Owner string
	// Provenance makes the record that is kept with each image.
	Provenance provenance.Recorder
	// Reaper removes what nobody needs any more; nil reaps nothing.
	Reaper Reaper
	// Looker says which version a source has, for the runs of schedules; nil looks at
	// nothing.
	Looker Looker
	// Heavy has room for as many passes over a disk as may run at once; nil
	// admits any number. Who waits for room keeps its slot of the worker, so a
	// worker needs more slots than Heavy has room, or short work waits too.
	Heavy *Turns
	// Bandwidth has the budgets of what is read and written; nil means that there are
	// none.
	Bandwidth *Bandwidth
	// Concurrency is how many items of a bulk run at once if nobody says; 0 means
	// DefaultConcurrency.
	Concurrency int
	// SpaceWait is how long an attempt waits for space that there is not; 0 means
	// not at all.
	SpaceWait time.Duration
	// Stall is how long an attempt may stand still; 0 means DefaultStall.
	Stall time.Duration

	// spaceEvery is the time between two looks for space; 0 means the constant.
	spaceEvery time.Duration
	// tick is the time between two beats; 0 means a second.
	tick time.Duration
	// ticked, if set, is called before each beat.
	ticked func()
}

// A Signaller sends a signal to a workflow.
type Signaller interface {
	SignalWorkflow(ctx context.Context, workflowID, runID, signalName string, arg any) error
}

// A Registry takes activities; every worker and test environment is one.
type Registry interface {
	RegisterActivityWithOptions(a any, options activity.RegisterOptions)
}

// Register makes all activities known under the names of package contract.
// Every worker gets them all: which of them it runs is decided by the task
// queue that it serves.
func Register(r Registry, d Deps) {
	re := NewReimportActivities(d)
	for _, a := range []struct {
		name    string
		execute any
	}{
		{RegisterActivityName, NewRegisterActivity(d).Execute},
		{ReportActivityName, NewReportActivity(d).Execute},
		{FetchActivityName, NewFetchActivity(d).Execute},
		{DetectActivityName, NewDetectActivity(d).Execute},
		{ValidateActivityName, NewValidateActivity(d).Execute},
		{ConvertActivityName, NewConvertActivity(d).Execute},
		{ChecksumActivityName, NewChecksumActivity(d).Execute},
		{StoreActivityName, NewStoreActivity(d).Execute},
		{ActivateActivityName, NewActivateActivity(d).Execute},
		{CleanupActivityName, NewCleanupActivity(d).Execute},
		{FailActivityName, NewFailActivity(d).Execute},
		{PlanActivityName, NewPlanActivity(d).Execute},
		{RegisterCopyActivityName, NewRegisterCopyActivity(d).Execute},
		{CopyActivityName, NewCopyActivity(d).Execute},
		{LocateActivityName, NewLocateActivity(d).Execute},
		{MarkStoresActivityName, NewMarkStoresActivity(d).Execute},
		{AddCopiesActivityName, NewAddCopiesActivity(d).Execute},
		{RegisterExportActivityName, NewRegisterExportActivity(d).Execute},
		{ExportActivityName, NewExportActivity(d).Execute},
		{EndExportActivityName, NewEndExportActivity(d).Execute},
		{LoadBulkActivityName, NewLoadBulkActivity(d).Execute},
		{StepBulkActivityName, NewStepBulkActivity(d).Execute},
		{ReapActivityName, NewReapActivity(d).Execute},
		{contract.BeginRunActivity, re.Begin},
		{contract.LookActivity, re.Look},
		{contract.SwitchActivity, re.Switch},
		{contract.EndRunActivity, re.End},
		{contract.PruneActivity, re.Prune},
		{contract.ImportEndActivity, re.ImportEnd},
	} {
		r.RegisterActivityWithOptions(a.execute, activity.RegisterOptions{Name: a.name})
	}
}

func (d Deps) stall() time.Duration {
	if d.Stall > 0 {
		return d.Stall
	}
	return DefaultStall
}

func (d Deps) beatEvery() time.Duration {
	if d.tick > 0 {
		return d.tick
	}
	return time.Second
}

func (d Deps) owner() string {
	if d.Owner != "" {
		return d.Owner
	}
	return DefaultOwner
}
