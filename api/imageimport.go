package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// importCall is the body of Glance's import call. What is not known is left
// out, as Glance does.
type importCall struct {
	Method *struct {
		Name string `json:"name"`
		URI  string `json:"uri"` // of web-download
		// Those of glance-download.
		Region    string `json:"glance_region"`
		ImageID   string `json:"glance_image_id"`
		Interface string `json:"glance_service_interface"`
	} `json:"method"`
	Stores               []string `json:"stores"`
	AllStores            bool     `json:"all_stores"`
	AllStoresMustSucceed *bool    `json:"all_stores_must_succeed"`
}

// rule is the one that the call is judged by.
func (c importCall) rule() string {
	if c.Method == nil {
		return importRule("")
	}
	return importRule(c.Method.Name)
}

func importRule(method string) string {
	if method == contract.MethodCopy {
		return "copy_image"
	}
	return "modify_image"
}

// importImage imports into an image that was made before. It answers 202 with
// an empty body, as Glance does; the task's id stands in a header.
func (a *api) importImage(w http.ResponseWriter, r *http.Request) error {
	img, target, err := a.targetedImage(r, "get_image")
	if err != nil {
		return err
	}
	var call importCall
	dec := json.NewDecoder(r.Body)
	if err := dec.Decode(&call); err != nil {
		return bodyError(err)
	}
	if err := a.judge(r, call.rule(), target); err != nil {
		return err
	}
	req, err := a.imageRequest(r, img, call)
	if err != nil {
		return err
	}
	out, err := a.acceptInto(r.Context(), req)
	if err != nil {
		return err
	}
	writeAccepted(w, out)
	return nil
}

// imageRequest writes Glance's call as a request, and checks it.
func (a *api) imageRequest(r *http.Request, img metadata.Image, call importCall) (contract.ImportRequest, error) {
	if call.Method != nil && call.Method.Name == contract.MethodCopy {
		return a.copyRequest(r, img, call)
	}
	req, err := a.importRequest(r, img, call)
	if err != nil {
		return req, err
	}
	check := a.checkRequest
	if _, _, staged := contract.ParseStagedURL(req.Source.URL); staged {
		check = a.checkBeside // the source is the server's own
	}
	if err := check(req); err != nil {
		return req, err
	}
	if err := a.permit(req); err != nil {
		return req, err
	}
	if img.DiskFormat == "" || img.ContainerFormat == "" {
		return req, errcode.New(errcode.Conflict, "image %s needs its disk_format and container_format set before the import", img.ID)
	}
	return req, nil
}

// importRequest writes Glance's call as an import request. The image's
// disk_format is what its bytes are declared to be.
func (a *api) importRequest(r *http.Request, img metadata.Image, call importCall) (contract.ImportRequest, error) {
	var req contract.ImportRequest
	source, task, err := a.askedSource(r, img, call)
	if err != nil {
		return req, err
	}
	spec, err := a.askedStores(r, call)
	if err != nil {
		return req, err
	}
	req = contract.ImportRequest{
		TaskID: task, ImageID: img.ID, Owner: img.Owner, IdempotencyKey: r.Header.Get("Idempotency-Key"),
		Source: source,
		Image: contract.ImageSpec{
			Name: img.Name, Visibility: img.Visibility, ContainerFormat: img.ContainerFormat, Tags: img.Tags,
			Properties: notInternal(img.Properties), MinDisk: img.MinDisk, MinRAM: img.MinRAM, Protected: img.Protected,
		},
	}
	if spec.Several() {
		req.StoresSpec = spec
	} else if len(spec.Stores) == 1 {
		req.Target.Store = spec.Stores[0]
	}
	return req, a.sign(r, &req)
}

// acceptInto accepts an import into an existing image. The answer to the same
// call may have been lost: controllers repeat it, and mean the import that runs.
func (a *api) acceptInto(ctx context.Context, req contract.ImportRequest) (wire.Submitted, error) {
	t, ok, err := a.twin(ctx, req)
	if err != nil {
		return wire.Submitted{}, err
	}
	if ok {
		return a.begin(ctx, t, true), nil
	}
	out, err := a.accept(ctx, req, true)
	if errcode.Of(err) == errcode.Conflict { // the same call may have come in between
		if t, ok, _ := a.twin(ctx, req); ok {
			return a.begin(ctx, t, true), nil
		}
	}
	return out, err
}

// twin finds the task on the image that was made by the same call: the one with
// the same idempotency key, or without a key the one that has not failed. Copies are
// another matter: what was copied may be removed, and be wanted again. What
// else stands in the request is the image's own, which an import changes.
func (a *api) twin(ctx context.Context, req contract.ImportRequest) (metadata.Task, bool, error) {
	tasks, err := a.Catalogue.Tasks(ctx, metadata.TaskFilter{Owner: req.Owner, ImageID: req.ImageID})
	if err != nil {
		return metadata.Task{}, false, err
	}
	for _, t := range tasks {
		over := t.Status == metadata.TaskFailure || t.Status.Finished() && req.Method == contract.MethodCopy
		if t.IdempotencyKey != req.IdempotencyKey || req.IdempotencyKey == "" && over {
			continue
		}
		old, err := requestOf(t)
		same := err == nil && old.Method == req.Method && old.Source.URL == req.Source.URL && old.Target.Store == req.Target.Store &&
			slices.Equal(old.Stores, req.Stores) && old.AllStores == req.AllStores && old.MustSucceed() == req.MustSucceed()
		if !same && req.IdempotencyKey != "" {
			return t, false, errcode.New(errcode.IdempotencyReuse, "idempotency key %q belongs to task %s, whose request differs", t.IdempotencyKey, t.ID)
		}
		if same {
			return t, true, nil
		}
	}
	return metadata.Task{}, false, nil
}
