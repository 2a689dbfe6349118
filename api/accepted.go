package api

import (
	"net/http"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// noRoles refuses a request that names roles: they are those of whom the server has
// authenticated.
func noRoles(roles []string) error {
	if len(roles) > 0 {
		return fieldError(errcode.Forbidden, "roles", "", "roles are those of whom the server has authenticated; a request names none")
	}
	return nil
}

// keyOf reads the header Idempotency-Key into a request whose body may name a key too.
func keyOf(r *http.Request, key *string) error {
	header := r.Header.Get("Idempotency-Key")
	if header == "" {
		return nil
	}
	if *key != "" && *key != header {
		return badField("Idempotency-Key", header, "the header and the body name different keys")
	}
	*key = header
	return nil
}

// mayHurry judges who asks for more than the usual priority.
func (a *api) mayHurry(r *http.Request, req contract.ImportRequest) error {
	if req.Urgency() > contract.DefaultPriority {
		return a.mayAct(r, "ingest:task_priority")
	}
	return nil
}

// writeSubmitted answers with a task that was accepted now, or by the same call before.
func writeSubmitted(w http.ResponseWriter, out wire.Submitted) {
	status := http.StatusAccepted
	if out.Existed {
		status = http.StatusOK
	}
	w.Header().Set("Location", "/v1/tasks/"+out.TaskID)
	writeJSON(w, status, out)
}

// writeAccepted answers as Glance does, with 202 and no body; what it does not say stands
// in headers.
func writeAccepted(w http.ResponseWriter, out wire.Submitted) {
	w.Header().Set("X-Ingest-Task-Id", out.TaskID)
	if out.Notice != "" {
		w.Header().Set("X-Ingest-Notice", out.Notice)
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
}
