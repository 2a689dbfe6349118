package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// A Checker compares the catalogue with what is there.
type Checker interface {
	// Check tells line by line; an error of tell ends it.
	Check(ctx context.Context, p contract.CheckParams, tell func(contract.CheckLine) error) error
}

// check answers with one JSON object a line, for as long as it takes. It ends when
// the client goes; the last line is the end or an error, so that an answer that was
// cut is not taken for a whole one.
func (a *api) check(w http.ResponseWriter, r *http.Request) error {
	if err := a.mayAct(r, "ingest:fsck"); err != nil {
		return err
	}
	if a.Checker == nil {
		return errcode.New(errcode.NotFound, "this server checks nothing")
	}
	var p contract.CheckParams
	if err := decode(r, &p); err != nil {
		return err
	}
	if err := p.Reap().Check(); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	out, flush := json.NewEncoder(w), http.NewResponseController(w)
	tell := func(line contract.CheckLine) error {
		// A client that does not read any more must not hold the check for ever.
		_ = flush.SetWriteDeadline(time.Now().Add(time.Minute))
		if err := out.Encode(line); err != nil {
			return err
		}
		return flush.Flush()
	}
	defer func() { _ = flush.SetWriteDeadline(time.Time{}) }()
	err := a.Checker.Check(r.Context(), p, tell)
	if err == nil || r.Context().Err() != nil {
		return nil
	}
	a.Log.Warn().Err(err).Msg("the check broke off")
	v := contract.ValueOf(err)
	_ = tell(contract.CheckLine{Error: &v})
	return nil
}
