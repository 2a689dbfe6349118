package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"ingest/api/wire"
	"ingest/internal/access"
	"ingest/internal/bandwidth"
	"ingest/internal/bulk"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// Bulks runs imports in bulk.
type Bulks interface {
	// StartBulk starts the workflow of a bulk. One that runs is left to run.
	StartBulk(ctx context.Context, req contract.BulkRequest, workflowID string) error
	// SignalBulk tells the workflow that something has changed. errcode.NotFound says that
	// none of that id runs.
	SignalBulk(ctx context.Context, workflowID string, s contract.BulkSignalled) error
}

// manifestsAtOnce is how many manifests are read at once: each takes memory.
const manifestsAtOnce = 2

func (a *api) bulkRoutes() []route {
	return []route{
		{"GET", "/v1/bulk", a.listBulks},
		{"POST", "/v1/bulk", a.submitBulk},
		{"GET", "/v1/schemas/bulk", a.bulkSchema},
		{"GET", "/v1/bulk/{id}", a.showBulk},
		{"PATCH", "/v1/bulk/{id}", a.setBulk},
		{"GET", "/v1/bulk/{id}/items", a.bulkItems},
		{"GET", "/v1/bulk/{id}/report", a.bulkReport},
		{"POST", "/v1/bulk/{id}/pause", a.changeBulk(metadata.BulkPause)},
		{"POST", "/v1/bulk/{id}/resume", a.changeBulk(metadata.BulkResume)},
		{"POST", "/v1/bulk/{id}/cancel", a.changeBulk(metadata.BulkCancel)},
		{"POST", "/v1/bulk/{id}/retry", a.changeBulk(metadata.BulkRetry)},
	}
}

// takesManifest reports whether a request's body is a manifest, which has bounds of its own.
func takesManifest(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Path == "/v1/bulk"
}

// manifest reads the manifest that a request brings, with what its query says.
func (a *api) manifest(r *http.Request) (*bulk.Manifest, error) {
	select {
	case a.manifests <- struct{}{}:
		defer func() { <-a.manifests }()
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	f := bulk.JSON
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if f = bulk.FormatOf(kind); f == "" {
			return nil, badField("Content-Type", kind, "a manifest is application/json, application/yaml, text/csv or application/x-ndjson")
		}
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, bodyError(err)
	}
	m, err := bulk.Parse(f, text)
	if err != nil {
		return nil, err
	}
	head, err := headOf(r.URL.Query())
	if err == nil && len(head) > 2 {
		err = m.Override(head)
	}
	return m, err
}

// headOf is what a query says in place of a manifest's head.
func headOf(q url.Values) (json.RawMessage, error) {
	head, limits := map[string]any{}, map[string]any{}
	for name, values := range q {
		value := values[len(values)-1]
		switch name {
		case "dry_run":
		case "name", "on_failure":
			head[name] = value
		case "window":
			head["windows"] = values
		case "again":
			on, err := strconv.ParseBool(value)
			if err != nil {
				return nil, badField(name, value, "expected true or false")
			}
			head[name] = on
		case "concurrency", "per_host", "per_store", "per_project":
			n, err := strconv.Atoi(value)
			if err != nil {
				return nil, badField(name, value, "expected a number")
			}
			limits[name] = n
		case "bandwidth", "bandwidth_per_host", "bandwidth_per_store", "bandwidth_per_project":
			rate, err := bandwidth.Parse(value)
			if err != nil {
				return nil, badField(name, value, "expected %s", bandwidth.Takes)
			}
			limits[name] = rate
		default:
			return nil, badField(name, value, "there is no parameter of this name")
		}
	}
	if len(limits) > 0 {
		head["limits"] = limits
	}
	raw, err := json.Marshal(head)
	return raw, err
}

// submission is who asks for a bulk, and how its items are judged.
func (a *api) submission(r *http.Request, rule string) bulk.Submission {
	id, c := uuid.NewString(), caller(r)
	if a.believes() {
		c.Roles = nil // nothing proves them
	}
	return bulk.Submission{ID: id, Owner: c.Project, UserID: c.User, Roles: c.Roles, WorkflowID: contract.BulkID(c.Project, id),
		Check: func(req contract.ImportRequest) error {
			if err := a.checkRequest(req); err != nil {
				return err
			}
			if err := a.mayHurry(r, req); err != nil {
				return err
			}
			if err := a.mayMake(r, rule, newImage(req, "")); err != nil {
				return err
			}
			return a.permit(req)
		}}
}

// submitBulk writes a bulk down and then starts it, or only says what would become of it.
func (a *api) submitBulk(w http.ResponseWriter, r *http.Request) error {
	if err := a.mayBulk(r); err != nil {
		return err
	}
	if dry, err := dryRun(r); err != nil || dry {
		if err != nil {
			return err
		}
		return a.planBulk(w, r)
	}
	m, err := a.manifest(r)
	if err != nil {
		return err
	}
	b, items, err := m.Bulk(a.submission(r, "ingest:submit"))
	if err != nil {
		return err
	}
	// Who goes away does not leave half a bulk.
	ctx := context.WithoutCancel(r.Context())
	b, existed, err := a.Catalogue.AddBulk(ctx, b, items, m.Again)
	if err != nil {
		return err
	}
	out, err := a.wholeBulk(ctx, b)
	if err != nil {
		return err
	}
	out.Existed = existed
	status := http.StatusOK
	if !existed {
		status = http.StatusAccepted
		if err := a.Bulks.StartBulk(ctx, contract.BulkRequest{BulkID: b.ID, Owner: b.Owner, UserID: b.UserID}, b.WorkflowID); err != nil {
			a.Log.Warn().Err(err).Str("bulk", b.ID).Msg("start of an accepted bulk failed, left to the reconciler")
			out.Notice = deferredNotice
		}
	}
	w.Header().Set("Location", "/v1/bulk/"+b.ID)
	writeJSON(w, status, out)
	return nil
}

// mayBulk judges who submits or plans a bulk, before it is read.
func (a *api) mayBulk(r *http.Request) error {
	if err := a.mayAct(r, "ingest:bulk"); err != nil {
		return err
	}
	if a.Bulks == nil {
		return errcode.New(errcode.NotFound, "this server runs no imports in bulk")
	}
	return nil
}

// bulkFor returns the bulk that a path names, if the caller may do with it what rule says.
// One of another project is answered like one that does not exist.
func (a *api) bulkFor(r *http.Request, rule string) (metadata.Bulk, error) {
	id := r.PathValue("id")
	b, err := a.Catalogue.Bulk(r.Context(), id)
	if err != nil {
		return metadata.Bulk{}, unseen(err, "bulk", id)
	}
	t := access.NewTarget(b.Owner)
	own := caller(r).Project != "" && b.Owner == caller(r).Project
	if !own && !a.administers(r) || !a.Access().Allows("ingest:bulk_read", caller(r), t) {
		return metadata.Bulk{}, notFound("bulk", id)
	}
	return b, a.judge(r, rule, t)
}

func (a *api) listBulks(w http.ResponseWriter, r *http.Request) error {
	if err := a.mayAct(r, "ingest:bulk_read"); err != nil {
		return err
	}
	q := r.URL.Query()
	limit, err := pageSize(q, 25)
	if err != nil {
		return err
	}
	f := metadata.BulkFilter{Owner: project(r.Context()), Name: q.Get("name"), Marker: q.Get("marker"), Limit: limit + 1}
	if a.administers(r) {
		f.Owner = q.Get("owner") // all, if it names none
	}
	all, err := a.Catalogue.Bulks(r.Context(), f)
	if err != nil {
		return err
	}
	out := wire.BulkList{Bulks: []wire.Bulk{}}
	for i, b := range all {
		if i == limit {
			out.Next = nextURL(r, all[i-1].ID)
			break
		}
		out.Bulks = append(out.Bulks, bulkOf(b))
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// pageSize reads the query's limit.
func pageSize(q url.Values, standard int) (int, error) {
	text := q.Get("limit")
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, badField("limit", text, "expected a number from 1 to 1000")
	}
	return min(n, 1000), nil
}

func (a *api) showBulk(w http.ResponseWriter, r *http.Request) error {
	b, err := a.bulkFor(r, "ingest:bulk_read")
	if err != nil {
		return err
	}
	out, err := a.wholeBulk(r.Context(), b)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// changeBulk does something with a bulk. A cancel with abort=true cancels what runs too.
func (a *api) changeBulk(do string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		b, err := a.bulkFor(r, "ingest:bulk")
		if err != nil {
			return err
		}
		what := do
		if abort := r.URL.Query().Get("abort"); do == metadata.BulkCancel && abort != "" {
			on, err := strconv.ParseBool(abort)
			if err != nil {
				return badField("abort", abort, "expected true or false")
			}
			if on {
				what = metadata.BulkAbort
			}
		}
		return a.tellBulk(w, r, b, metadata.BulkChange{Do: what})
	}
}

// setBulk changes how a bulk is worked on.
func (a *api) setBulk(w http.ResponseWriter, r *http.Request) error {
	b, err := a.bulkFor(r, "ingest:bulk")
	if err != nil {
		return err
	}
	var s metadata.BulkSettings
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return bodyError(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return bodyError(err)
	}
	return a.tellBulk(w, r, b, metadata.BulkChange{Do: metadata.BulkSet, Settings: raw})
}

// tellBulk records a change, and tells the workflow of it. What it cannot be told now it is
// told by the reconciler.
func (a *api) tellBulk(w http.ResponseWriter, r *http.Request, b metadata.Bulk, ch metadata.BulkChange) error {
	was := b.Status
	b, err := a.Catalogue.ChangeBulk(r.Context(), b.ID, ch)
	if err != nil {
		return err
	}
	if b.Told < b.Revision && a.Bulks != nil {
		if was.Finished() {
			err = a.Bulks.StartBulk(r.Context(), contract.BulkRequest{BulkID: b.ID, Owner: b.Owner, UserID: b.UserID}, b.WorkflowID)
		} else {
			err = a.Bulks.SignalBulk(r.Context(), b.WorkflowID, contract.BulkSignalled{})
		}
		if err == nil {
			err = a.Catalogue.BulkTold(r.Context(), b.ID, b.Revision)
		}
		if err != nil {
			a.Log.Warn().Err(err).Str("bulk", b.ID).Msg("the workflow could not be told how to go on, left to the reconciler")
		}
	}
	out, err := a.wholeBulk(r.Context(), b)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusAccepted, out)
	return nil
}
