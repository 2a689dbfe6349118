package api

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"

	"github.com/google/uuid"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// defaultTaskType is that of an import, however it was asked for.
const defaultTaskType = "api_image_import"

// deferredNotice is told with a request that was accepted and not started.
const deferredNotice = "accepted; the workflow service does not answer, so the server starts the import by itself when it does"

// submit takes an import with everything that can be said of it.
func (a *api) submit(w http.ResponseWriter, r *http.Request) error {
	var req contract.ImportRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	owner := project(r.Context())
	if req.Owner != "" && req.Owner != owner {
		return fieldError(errcode.Forbidden, "owner", req.Owner, "an import belongs to the project that asks for it, here %q", owner)
	}
	req.Owner = owner
	if err := noRoles(req.Roles); err != nil {
		return err
	}
	if err := a.sign(r, &req); err != nil {
		return err
	}
	if err := keyOf(r, &req.IdempotencyKey); err != nil {
		return err
	}
	if err := checkOneOf("task_type", req.TaskType, []string{defaultTaskType, typeImport}); err != nil {
		return err
	}
	if err := a.checkRequest(req); err != nil {
		return err
	}
	if err := a.maySubmit(r, req); err != nil {
		return err
	}
	if err := a.permit(req); err != nil {
		return err
	}
	if dry, err := dryRun(r); err != nil || dry {
		if err != nil {
			return err
		}
		return a.plan(w, r, req)
	}
	out, err := a.accept(r.Context(), req, false)
	if err != nil {
		return err
	}
	writeSubmitted(w, out)
	return nil
}

// maySubmit judges who asks, before the request is looked at any further.
func (a *api) maySubmit(r *http.Request, req contract.ImportRequest) error {
	rule := "ingest:submit"
	if dry, _ := dryRun(r); dry {
		rule = "ingest:plan"
	}
	if err := a.mayHurry(r, req); err != nil {
		return err
	}
	return a.mayMake(r, rule, newImage(req, ""))
}

// dryRun reads the query's dry_run.
func dryRun(r *http.Request) (bool, error) {
	switch v := r.URL.Query().Get("dry_run"); v {
	case "", "false", "0":
		return false, nil
	case "true", "1":
		return true, nil
	default:
		return false, badField("dry_run", v, "expected true or false")
	}
}

// plan answers with what the import would do. Nothing is recorded: that the image
// would be refused is the answer, and no error.
func (a *api) plan(w http.ResponseWriter, r *http.Request, req contract.ImportRequest) error {
	if a.Planner == nil {
		return errcode.New(errcode.NotFound, "this server makes no dry runs")
	}
	req.RequestID = requestID(r.Context())
	out, err := a.Planner.Plan(r.Context(), req)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// accept records an import and then starts it. existing says that its image
// waits in the catalogue.
func (a *api) accept(ctx context.Context, req contract.ImportRequest, existing bool) (wire.Submitted, error) {
	if req.TaskID == "" {
		req.TaskID = uuid.NewString()
	}
	if req.ImageID == "" {
		req.ImageID = uuid.NewString()
	}
	if req.TaskType == "" {
		req.TaskType = defaultTaskType
	}
	req.RequestID = requestID(ctx)
	raw, err := json.Marshal(req)
	if err != nil {
		return wire.Submitted{}, errcode.Wrap(err, errcode.Internal, "write request")
	}
	_, _, staged := contract.ParseStagedURL(req.Source.URL)
	acc, err := a.Catalogue.Accept(ctx, metadata.NewImport{
		Task: metadata.Task{
			ID: req.TaskID, Type: req.TaskType, Owner: req.Owner, UserID: req.UserID, RequestID: req.RequestID,
			ImageID: req.ImageID, WorkflowID: contract.WorkflowID(req.Owner, req.TaskID, req.IdempotencyKey),
			IdempotencyKey: req.IdempotencyKey, Request: raw, Priority: req.Urgency(),
		},
		Image:         newImage(req, a.targetFormat(req.Target)),
		ExistingImage: existing && (req.Method == "" || req.Method == contract.MethodLocate) && !staged,
		Staged:        staged,
		Copy:          req.Method == contract.MethodCopy,
		Export:        req.Method == contract.MethodExport,
	})
	if err != nil {
		return wire.Submitted{}, err
	}
	// The catalogue recognises a repeated key by the request; a repeated task
	// id is compared here.
	if !acc.Created && !sameAsk(acc.Task.Request, req) {
		return wire.Submitted{}, errcode.New(errcode.IdempotencyReuse, "task %s exists already, and its request differs", acc.Task.ID)
	}
	return a.begin(ctx, acc.Task, !acc.Created), nil
}

// begin starts the workflow of an accepted task. It never fails: what cannot be
// started now is started by the reconciler.
func (a *api) begin(ctx context.Context, t metadata.Task, existed bool) wire.Submitted {
	out := wire.Submitted{
		TaskID: t.ID, ImageID: t.ImageID, WorkflowID: t.WorkflowID,
		Status: string(t.Status), Existed: existed, Started: true,
	}
	if t.Status.Finished() {
		return out
	}
	req, err := requestOf(t)
	if err == nil {
		err = a.Imports.Start(ctx, req, t.WorkflowID)
	}
	if err != nil {
		a.Log.Warn().Err(err).Str("task", t.ID).Msg("start of an accepted import failed, left to the reconciler")
		out.Started, out.Notice = false, deferredNotice
	}
	return out
}

// requestOf returns a task's own request. A repeated submission starts this one
// and not its own words: its ids are those of the catalogue.
func requestOf(t metadata.Task) (contract.ImportRequest, error) {
	var req contract.ImportRequest
	err := json.Unmarshal(t.Request, &req)
	return req, err
}

// targetFormat is what an image will be called that is stored as the target, ""
// if only the source will tell.
func (a *api) targetFormat(t contract.TargetSpec) string {
	if resolved, err := a.resolveTarget(t); err == nil {
		return resolved.StoredAs()
	}
	return t.Format
}

// newImage is the record of an image that an import makes.
func newImage(req contract.ImportRequest, diskFormat string) metadata.Image {
	return metadata.Image{
		ID: req.ImageID, Owner: req.Owner, Name: req.Image.Name, Visibility: req.Image.Visibility,
		Protected: req.Image.Protected, Hidden: req.Image.Hidden, DiskFormat: diskFormat, ContainerFormat: req.Image.ContainerFormat,
		MinDisk: req.Image.MinDisk, MinRAM: req.Image.MinRAM, Tags: unique(req.Image.Tags), Properties: req.Image.Properties,
	}
}

// sameAsk reports whether a recorded request asks for the same as req does.
func sameAsk(recorded json.RawMessage, req contract.ImportRequest) bool {
	var old contract.ImportRequest
	if json.Unmarshal(recorded, &old) != nil {
		return false
	}
	return reflect.DeepEqual(plain(old), plain(req))
}

// plain strips what names one submission, and empty lists.
func plain(r contract.ImportRequest) contract.ImportRequest {
	r.TaskID, r.ImageID, r.RequestID, r.UserID, r.IdempotencyKey = "", "", "", "", ""
	r.Roles = nil
	if len(r.Stores) == 0 {
		r.Stores = nil
	}
	if len(r.Source.Members) == 0 {
		r.Source.Members = nil
	}
	if len(r.Target.Options) == 0 {
		r.Target.Options = nil
	}
	if len(r.Image.Tags) == 0 {
		r.Image.Tags = nil
	}
	if len(r.Image.Properties) == 0 {
		r.Image.Properties = nil
	}
	return r
}
