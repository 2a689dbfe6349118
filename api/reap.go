package api

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// A Reaper removes what nobody needs any more.
type Reaper interface {
	// Start begins, and returns an id.
	Start(ctx context.Context, p contract.ReapParams) (id string, err error)
	// Result waits a few seconds for the end.
	Result(ctx context.Context, id string) (out contract.ReapResult, done bool, err error)
}

func (a *api) reaper(r *http.Request) (Reaper, error) {
	if err := a.mayAct(r, "ingest:gc"); err != nil {
		return nil, err
	}
	if a.Reaper == nil {
		return nil, errcode.New(errcode.NotFound, "this server collects nothing")
	}
	return a.Reaper, nil
}

// reap starts a collection.
func (a *api) reap(w http.ResponseWriter, r *http.Request) error {
	rp, err := a.reaper(r)
	if err != nil {
		return err
	}
	var p contract.ReapParams
	if err := decode(r, &p); err != nil {
		return err
	}
	id, err := rp.Start(r.Context(), p)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/gc/"+id)
	writeJSON(w, http.StatusAccepted, wire.Reap{ID: id})
	return nil
}

func (a *api) reaped(w http.ResponseWriter, r *http.Request) error {
	rp, err := a.reaper(r)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	if _, err := uuid.Parse(id); err != nil {
		return notFound("collection", id)
	}
	out := wire.Reap{ID: id}
	res, done, err := rp.Result(r.Context(), id)
	if err != nil {
		return err
	}
	if out.Done = done; done {
		out.Result = &res
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}
