package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"ingest/internal/contract"
	"ingest/metadata"
)

// How far back a dry run looks for imports like the one that is asked for.
const (
	recentTasks = 50
	likeTasks   = 5
)

// experience estimates the time of an import by how long like ones took: of the same
// owner, from the same host, of the same format. Without any, the estimate stays.
// That the catalogue does not answer is no fault of the import.
func (a *PlanActivity) experience(ctx context.Context, req contract.ImportRequest, f *contract.Forecast) {
	bytes, _ := f.Stored()
	if f.Detected == nil || f.Verdict != contract.VerdictAccepted || bytes <= 0 {
		return
	}
	tasks, err := a.d.Catalogue.Tasks(ctx, metadata.TaskFilter{Owner: req.Owner, Status: metadata.TaskSuccess, Limit: recentTasks})
	if err != nil {
		return
	}
	var took time.Duration
	var stored int64
	n := 0
	for _, t := range tasks {
		if n == likeTasks {
			break
		}
		if !sameHost(t.Request, req.Source.URL) {
			continue
		}
		d, size, ok := a.took(ctx, t, f.Detected.Format)
		if ok {
			took, stored, n = took+d, stored+size, n+1
		}
	}
	if n == 0 || stored == 0 {
		return
	}
	f.Time = contract.ForecastTime{Seconds: float64(bytes) * took.Seconds() / float64(stored),
		Basis: fmt.Sprintf("%d earlier imports of %s from the same place, which took %.1f s for %d stored bytes", n, f.Detected.Format, took.Seconds(), stored)}
}

// took is how long the stages of a task took, and what was stored, if its source was
// of the format.
func (a *PlanActivity) took(ctx context.Context, t metadata.Task, format string) (time.Duration, int64, bool) {
	var result contract.ImportResult
	if json.Unmarshal(t.Result, &result) != nil {
		return 0, 0, false
	}
	events, err := a.d.Catalogue.Events(ctx, t.ID)
	if err != nil {
		return 0, 0, false
	}
	var took time.Duration
	var stored int64
	same := false
	for _, e := range events {
		switch e.Kind {
		case metadata.EventStage:
			took += e.Duration
		case metadata.EventReport:
			var rep struct {
				DiskFormat string `json:"disk_format"`
			}
			if e.Stage == string(contract.StageDetect) && json.Unmarshal(e.Detail, &rep) == nil {
				same = rep.DiskFormat == format
			}
		}
	}
	for _, img := range result.Images {
		stored += img.Size
	}
	return took, stored, same && took > 0 && stored > 0
}

// sameHost reports whether a recorded request has its source where url is: on the
// same host, or among the files of the server.
func sameHost(recorded json.RawMessage, url string) bool {
	var req contract.ImportRequest
	return json.Unmarshal(recorded, &req) == nil && hostOf(req.Source.URL) == hostOf(url)
}

// hostOf is the host of a source, "" for a file.
func hostOf(ref string) string {
	if !strings.Contains(ref, "://") {
		return ""
	}
	u, err := url.Parse(ref)
	if err != nil {
		return ref
	}
	return u.Host
}
