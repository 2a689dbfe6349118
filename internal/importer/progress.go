package importer

import (
	"context"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// queryTimeout bounds the wait for a worker that answers a query. It is short
// because the heartbeat shows nearly as much.
const queryTimeout = 1500 * time.Millisecond

// stageOf names the stages of the activities that take their time.
var stageOf = map[string]contract.Stage{
	contract.RegisterActivity: contract.StageRegister,
	contract.FetchActivity:    contract.StageFetch,
	contract.DetectActivity:   contract.StageDetect,
	contract.ValidateActivity: contract.StageValidate,
	contract.ConvertActivity:  contract.StageConvert,
	contract.ChecksumActivity: contract.StageChecksum,
	contract.StoreActivity:    contract.StageStore,
	contract.ActivateActivity: contract.StageActivate,
	contract.CleanupActivity:  contract.StageCleanup,
}

// Progress says how far an unfinished task is: what its workflow says or what
// the activity at work has said since, whichever is fresher, over what the
// catalogue knows. It fails only if neither can be had.
func (i *Importer) Progress(ctx context.Context, t metadata.Task) (contract.Progress, error) {
	out := contract.Progress{
		TaskID: t.ID, Stage: contract.Stage(t.Stage), Status: string(t.Status), Total: -1, ETA: -1,
		ObservedAt: t.UpdatedAt, Message: t.Message,
	}
	if out.Disk = contract.DiskInMessage(t.Message); out.Disk > 0 {
		out.Message = ""
	}
	queried := make(chan *contract.Progress, 1)
	go func() { queried <- i.query(ctx, t.WorkflowID) }()
	beat, attempt, failure, err := i.beat(ctx, t.WorkflowID)
	said := <-queried
	if err != nil && said == nil {
		return contract.Progress{}, err
	}
	if said != nil {
		out = merge(out, *said)
	}
	if beat != nil && (said == nil || !beat.ObservedAt.Before(said.ObservedAt)) {
		out = merge(out, *beat)
	}
	out.Attempt = max(out.Attempt, attempt)
	if failure != "" {
		out.Message = failure
	}
	return out, nil
}

// merge lays p over base. Who does not know a thing leaves it as it was.
func merge(base, p contract.Progress) contract.Progress {
	p.TaskID, p.Status = base.TaskID, base.Status
	if p.Stage == "" {
		p.Stage = base.Stage
	}
	if p.Disks = max(p.Disks, base.Disks); p.Disk == 0 && p.Stage == base.Stage {
		p.Disk = base.Disk
	}
	if p.Stage == base.Stage && p.Disk == base.Disk {
		p.Attempt = max(p.Attempt, base.Attempt)
		if p.Message == "" {
			p.Message = base.Message
		}
	}
	return p
}

// query asks the workflow, nil if no worker answers in time.
func (i *Importer) query(ctx context.Context, workflowID string) *contract.Progress {
	ctx, stop := context.WithTimeout(ctx, queryTimeout)
	defer stop()
	v, err := i.client.QueryWorkflow(ctx, workflowID, "", contract.ProgressQuery)
	if err != nil {
		return nil
	}
	var p contract.Progress
	if v.Get(&p) != nil {
		return nil
	}
	return &p
}

// beat asks the service what the activity at work said last: nil if it has said
// nothing. failure tells of its last attempt.
func (i *Importer) beat(ctx context.Context, workflowID string) (p *contract.Progress, attempt int32, failure string, err error) {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	d, err := i.client.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return nil, 0, "", serviceError(err, "describe workflow %s", workflowID)
	}
	a := latest(d.GetPendingActivities())
	if a == nil {
		return nil, 0, "", nil
	}
	p = &contract.Progress{Stage: stageOf[a.GetActivityType().GetName()], Total: -1, ETA: -1, ObservedAt: a.GetScheduledTime().AsTime()}
	var hb contract.Heartbeat
	if a.GetHeartbeatDetails() != nil && i.data.FromPayloads(a.GetHeartbeatDetails(), &hb) == nil {
		stage := p.Stage
		*p = hb.Progress
		if p.Stage == "" {
			p.Stage = stage
		}
		if at := a.GetLastHeartbeatTime(); p.ObservedAt.IsZero() && at != nil {
			p.ObservedAt = at.AsTime()
		}
	}
	return p, a.GetAttempt(), failureOf(a), nil
}

// latest picks the activity that beat last. An import has one at a time, apart
// from the moment in which one follows another.
func latest(as []*workflowpb.PendingActivityInfo) *workflowpb.PendingActivityInfo {
	var out *workflowpb.PendingActivityInfo
	for _, a := range as {
		if out == nil || seen(a).After(seen(out)) {
			out = a
		}
	}
	return out
}

func seen(a *workflowpb.PendingActivityInfo) time.Time {
	if at := a.GetLastHeartbeatTime(); at != nil {
		return at.AsTime()
	}
	return a.GetScheduledTime().AsTime()
}

// failureOf says why an activity is being tried again. Only what has a code is
// told; other text belongs into the log.
func failureOf(a *workflowpb.PendingActivityInfo) string {
	f := a.GetLastFailure()
	if a.GetAttempt() < 2 || f == nil {
		return ""
	}
	code := errcode.Code(f.GetApplicationFailureInfo().GetType())
	if code != "" && errcode.Known(code) {
		return "tried again after " + string(code) + ": " + errcode.Lookup(code).Meaning
	}
	if f.GetTimeoutFailureInfo() != nil {
		return "tried again after its worker was lost"
	}
	return "tried again"
}
