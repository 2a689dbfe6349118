package activities

import (
	"context"
	"time"

	"ingest/internal/contract"
	"ingest/metadata"
)

// ReportActivityName is the activity's name.
const ReportActivityName = contract.ReportActivity

// A ReportActivity says in the catalogue which stage an import is at, before
// any worker has taken its work.
type ReportActivity struct{ d Deps }

// NewReportActivity returns the activity.
func NewReportActivity(d Deps) *ReportActivity { return &ReportActivity{d} }

// Execute records the report.
func (a *ReportActivity) Execute(ctx context.Context, p contract.ReportParams) error {
	if p.Message == "" {
		p.Message = contract.DiskMessage(p.Disk)
	}
	_, err := row(ctx, a.d, work{stage: p.Stage, taskID: p.TaskID}, func(ctx context.Context) (struct{}, error) {
		if !p.Done {
			a.d.Log.Info().Str("task", p.TaskID).Str("stage", string(p.Stage)).Msg("stage begins")
		}
		return struct{}{}, a.d.Catalogue.SetStage(ctx, p.TaskID, metadata.Event{
			Stage: string(p.Stage), Attempt: int(p.Attempt), Bytes: p.Bytes,
			Duration: time.Duration(p.DurationMS) * time.Millisecond, Message: p.Message,
		})
	})
	return err
}
