package api

import (
	"encoding/json"
	"net/http"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// permit asks the operator's policy about a request, before anything is recorded
// or read for it. The import asks again, and keeps the answer with its task.
func (a *api) permit(req contract.ImportRequest) error {
	if a.Policy == nil {
		return nil
	}
	return a.Policy().Submission(req).Err()
}

// permitCopy is permit for a copy to further stores. Which ones "all" are is for the
// task to find out.
func (a *api) permitCopy(req contract.ImportRequest) error {
	if a.Policy == nil {
		return nil
	}
	if rules := a.Policy(); rules != nil {
		return rules.Copy(req, req.Stores).Err()
	}
	return nil
}

// taskPolicy answers with what the policy said of a task: the last report of each
// point and disk. Without a policy there are none.
func (a *api) taskPolicy(w http.ResponseWriter, r *http.Request) error {
	t, events, err := a.ownEvents(r)
	if err != nil {
		return err
	}
	out := wire.TaskPolicy{TaskID: t.ID, Reports: []contract.PolicyReport{}}
	place := map[string]int{}
	for _, e := range events {
		if e.Kind != metadata.EventReport || e.Stage != contract.PolicyStage {
			continue
		}
		var rep contract.PolicyReport
		if err := json.Unmarshal(e.Detail, &rep); err != nil {
			return errcode.Wrap(err, errcode.Internal, "read a policy report of task %s", t.ID)
		}
		key := rep.Point + contract.DiskMessage(rep.Disk)
		if i, ok := place[key]; ok {
			out.Reports[i] = rep
			continue
		}
		place[key] = len(out.Reports)
		out.Reports = append(out.Reports, rep)
	}
	for _, rep := range out.Reports {
		if v, denied := rep.Denied(); denied {
			out.DeniedBy = &v
		}
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}
