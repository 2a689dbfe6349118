package api

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// cloneSource says which image of which image service is cloned.
type cloneSource struct {
	ImageID string
	// URL is that of the image service, Region one that the operator has named. With
	// neither, the cloud of the credential lists its image service.
	URL        string
	Region     string
	Credential string // name of one of the server's
}

// members are those of a source, by their names in the input.
func (s *cloneSource) members() map[string]any {
	return map[string]any{"image_id": &s.ImageID, "url": &s.URL, "region": &s.Region, "credential": &s.Credential}
}

// cloneAsked is the input of a task of type clone.
type cloneAsked struct {
	Source     map[string]json.RawMessage
	SameID     bool
	ImageID    string
	Properties map[string]json.RawMessage
	Stores     contract.StoresSpec
	Priority   *int
}

func (in *cloneAsked) members() map[string]any {
	return map[string]any{
		"source": &in.Source, "same_id": &in.SameID, "image_id": &in.ImageID, "image_properties": &in.Properties, "priority": &in.Priority,
		"stores": &in.Stores.Stores, "all_stores": &in.Stores.AllStores, "all_stores_must_succeed": &in.Stores.AllStoresMustSucceed,
	}
}

// clonesOwn are the members of an image that a clone has from its source, and its id.
var clonesOwn = []string{"id", "disk_format", "container_format"}

// cloneInput reads the input of a task of type clone.
func (a *api) cloneInput(r *http.Request, input map[string]json.RawMessage) (contract.ImportRequest, error) {
	var in cloneAsked
	var from cloneSource
	if err := readInput("input", input, in.members(), "a clone"); err != nil {
		return contract.ImportRequest{}, err
	}
	if err := readInput("input.source", in.Source, from.members(), "the source of a clone"); err != nil {
		return contract.ImportRequest{}, err
	}
	req := contract.ImportRequest{
		Method: contract.MethodClone, Owner: project(r.Context()), ImageID: in.ImageID, StoresSpec: in.Stores, Priority: in.Priority,
	}
	var err error
	if req.Source, err = a.cloneOf(from); err != nil {
		return req, err
	}
	members := in.Properties
	if members == nil {
		members = map[string]json.RawMessage{}
	}
	for _, name := range clonesOwn {
		if _, said := members[name]; said {
			return req, badField("input.image_properties."+name, "", "a clone has that of its source, and its id by same_id or image_id")
		}
	}
	if _, said := members["visibility"]; !said {
		members["visibility"] = json.RawMessage(`"private"`)
	}
	img, err := a.parseImage(members, req.Owner)
	if err != nil {
		return req, err
	}
	if in.SameID && req.ImageID != "" && req.ImageID != from.ImageID {
		return req, badField("input.image_id", req.ImageID, "it is not the source's, which same_id asks for")
	}
	if in.SameID {
		req.ImageID = from.ImageID
	}
	if len(req.Stores) == 1 && req.Stores[0] != "" && !req.AllStores {
		req.Target.Store, req.Stores = req.Stores[0], nil
	}
	if req.Urgency() > contract.DefaultPriority {
		if err := a.mayAct(r, "ingest:task_priority"); err != nil {
			return req, err
		}
	}
	return req, a.describe(&req, img, nil)
}

// readInput reads the members of a task's input, or of what stands at a place in it, and
// refuses others.
func readInput(at string, input map[string]json.RawMessage, into map[string]any, what string) error {
	for _, name := range slices.Sorted(maps.Keys(input)) {
		dst, known := into[name]
		if !known {
			return badField(at+"."+name, "", "%s takes %s", what, strings.Join(slices.Sorted(maps.Keys(into)), ", "))
		}
		if err := json.Unmarshal(input[name], dst); err != nil {
			return badField(at+"."+name, "", "it is not of the type that is expected")
		}
	}
	return nil
}

// cloneOf is the image that is cloned, as a source.
func (a *api) cloneOf(from cloneSource) (contract.SourceSpec, error) {
	var none contract.SourceSpec
	if id, err := uuid.Parse(from.ImageID); err != nil || id.String() != from.ImageID {
		return none, badField("input.source.image_id", from.ImageID, "expected the id of an image, a UUID in lower case")
	}
	switch {
	case from.URL != "" && from.Region != "":
		return none, badField("input.source.region", from.Region, "the url says already which image service it is")
	case from.URL != "":
		if at, err := url.Parse(from.URL); err != nil || !web(from.URL) || at.Host == "" || at.User != nil || at.RawQuery != "" || strings.Contains(from.URL, "#") {
			// The value is not shown: it may hold a password.
			return none, withStatus(http.StatusBadRequest, fieldError(errcode.SourceURLInvalid, "input.source.url", "", "expected the http or https URL of an image service, without user, query and fragment"))
		}
		return Region{URL: from.URL, Credential: from.Credential}.source("", from.ImageID, ""), nil
	case from.Region != "" && from.Credential != "":
		return none, badField("input.source.credential", from.Credential, "a region comes with the operator's credential")
	case from.Region != "":
		return a.inRegion("input.source.region", from.Region, from.ImageID, serviceInterfaces[0])
	case from.Credential != "":
		return contract.SourceSpec{URL: "glance:///" + from.ImageID, Credential: from.Credential}, nil
	}
	return none, badField("input.source.url", "", "name the image service: by its url, by the region, or by the credential of its cloud")
}

// checkTask is checkRequest for a task, which may be a clone.
func (a *api) checkTask(req contract.ImportRequest) error {
	if req.Method == contract.MethodClone {
		if err := req.CheckClone(); err != nil {
			return err
		}
		req.Method, req.TaskType = "", ""
	}
	return a.checkRequest(req)
}

// acceptClone accepts a clone. The same one once more, which shows where the id of the image
// is asked for, means the task that is there, for as long as its image is; another image of
// that id is in the way.
func (a *api) acceptClone(ctx context.Context, req contract.ImportRequest, _ bool) (wire.Submitted, error) {
	if req.ImageID != "" && req.IdempotencyKey == "" {
		_, err := a.Catalogue.Image(ctx, req.ImageID)
		if errcode.Of(err) == errcode.NotFound {
			return a.accept(ctx, req, false)
		}
		if err != nil {
			return wire.Submitted{}, err
		}
		t, ok, err := a.twin(ctx, req)
		if err != nil {
			return wire.Submitted{}, err
		}
		if ok && sameClone(t, req) {
			return a.begin(ctx, t, true), nil
		}
	}
	return a.accept(ctx, req, false)
}

// sameClone reports whether a task clones what is asked for. One that is tried again has the
// priority that was set last, and nobody has asked for.
func sameClone(t metadata.Task, req contract.ImportRequest) bool {
	if old, err := requestOf(t); err == nil && t.RetryOf != "" {
		req.Priority = old.Priority
	}
	return sameAsk(t.Request, req)
}

// cloneTold is what a clone was asked for, as its task shows it: where the image is in one
// URL.
func cloneTold(req contract.ImportRequest) map[string]any {
	source := map[string]string{"url": req.Source.URL}
	if req.Source.Credential != "" {
		source["credential"] = req.Source.Credential
	}
	out := map[string]any{
		"source": source, "image_id": req.ImageID, "image_properties": saidOf(req),
	}
	stores := req.Stores
	if len(stores) == 0 && req.Target.Store != "" {
		stores = []string{req.Target.Store}
	}
	if len(stores) > 0 {
		out["stores"] = stores
	}
	if req.AllStores {
		out["all_stores"] = true
	}
	return out
}
