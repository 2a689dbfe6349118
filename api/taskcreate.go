package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// typeImport is Glance's older task that makes an image and imports into it.
const typeImport = "import"

// A taskType is a type that tasks can have.
type taskType struct {
	name string
	// request writes the input of POST /v2/tasks as a request; nil for a type whose tasks
	// come from other calls.
	request func(a *api, r *http.Request, input map[string]json.RawMessage) (contract.ImportRequest, error)
	// schema describes the input that request reads.
	schema func(a *api) object
}

// taskTypes are all of them. One more stands here to be listed, and with a request and a
// schema to be made by POST /v2/tasks.
func taskTypes() []taskType {
	return []taskType{
		{typeImport, (*api).importInput, (*api).importSchema},
		{contract.TypeExport, (*api).exportInput, (*api).exportSchema},
		{contract.TypeClone, (*api).cloneInput, (*api).cloneSchema},
		{defaultTaskType, nil, nil},
		{contract.LocationTaskType, nil, nil},
	}
}

func taskTypeNames() []string {
	var names []string
	for _, t := range taskTypes() {
		names = append(names, t.name)
	}
	return names
}

// makeable is the type of a name whose tasks are made by POST /v2/tasks.
func makeable(name string) (taskType, bool) {
	known := taskTypes()
	i := slices.IndexFunc(known, func(t taskType) bool { return t.name == name && t.request != nil })
	if i < 0 {
		return taskType{}, false
	}
	return known[i], true
}

// createTask makes a task of Glance's older kind. What is wrong with its input is said at
// once, and not by a task that fails.
func (a *api) createTask(w http.ResponseWriter, r *http.Request) error {
	if err := a.mayAct(r, "tasks_api_access"); err != nil {
		return err
	}
	req, err := a.taskRequest(r)
	if err != nil {
		return err
	}
	if req.IdempotencyKey, err = idempotencyKey(r); err != nil {
		return err
	}
	if err := a.mayCreate(r, &req); err != nil {
		return err
	}
	accept := a.accept
	if req.Method == contract.MethodClone {
		accept = a.acceptClone
	}
	out, err := accept(r.Context(), req, false)
	if err != nil {
		return err
	}
	t, err := a.Catalogue.Task(r.Context(), out.TaskID)
	if err != nil {
		return err
	}
	if out.Notice != "" {
		w.Header().Set("X-Ingest-Notice", out.Notice)
	}
	w.Header().Set("Location", "/v2/tasks/"+t.ID)
	writeJSON(w, http.StatusCreated, glanceTask(a.taskShown(r, t)))
	return nil
}

// mayCreate judges a task and who asks for it.
func (a *api) mayCreate(r *http.Request, req *contract.ImportRequest) error {
	if req.Method == contract.MethodExport {
		if err := a.mayAct(r, "add_task"); err != nil {
			return err
		}
		return a.mayExport(r, req)
	}
	if err := a.sign(r, req); err != nil {
		return err
	}
	if err := a.checkTask(*req); err != nil {
		return err
	}
	if err := a.mayMake(r, "add_task", newImage(*req, "")); err != nil {
		return err
	}
	return a.permit(*req)
}

// taskRequest reads the body of a request for a task.
func (a *api) taskRequest(r *http.Request) (contract.ImportRequest, error) {
	var none contract.ImportRequest
	fields, err := decodeObject(r)
	if err != nil {
		return none, err
	}
	var name string
	if err := json.Unmarshal(fields["type"], &name); err != nil {
		return none, badField("type", string(fields["type"]), "expected the type of a task")
	}
	kind, ok := makeable(name)
	if !ok {
		return none, badField("type", name, "there are no tasks of this type to be made")
	}
	var input map[string]json.RawMessage
	if err := json.Unmarshal(fields["input"], &input); err != nil || input == nil {
		return none, badField("input", string(fields["input"]), "expected an object")
	}
	req, err := kind.request(a, r, input)
	req.TaskType = name
	return req, err
}

// importAsked is the input of a task of type import, in which nothing may be left out.
type importAsked struct {
	From, Format *string
	Properties   map[string]json.RawMessage
}

func (in *importAsked) members() map[string]any {
	return map[string]any{"import_from": &in.From, "import_from_format": &in.Format, "image_properties": &in.Properties}
}

// importInput reads the input of a task of type import.
func (a *api) importInput(r *http.Request, input map[string]json.RawMessage) (contract.ImportRequest, error) {
	req := contract.ImportRequest{Owner: project(r.Context())}
	var in importAsked
	if err := readInput("input", input, in.members(), "an import"); err != nil {
		return req, err
	}
	if in.From == nil {
		return req, badField("input.import_from", "", "expected the URL of an image")
	}
	if u, err := url.Parse(*in.From); err != nil || !web(*in.From) || u.Host == "" {
		return req, withStatus(http.StatusBadRequest, fieldError(errcode.SourceScheme, "input.import_from", "", "expected an http or https URL"))
	}
	if in.Format == nil || *in.Format == "" {
		return req, badField("input.import_from_format", string(input["import_from_format"]), "expected what the source is, one of %s", strings.Join(a.Defaults.SourceFormats, ", "))
	}
	if in.Properties == nil {
		return req, badField("input.image_properties", string(input["image_properties"]), "expected an object")
	}
	req.Source = contract.SourceSpec{URL: *in.From, Format: *in.Format}
	img, err := a.parseImage(in.Properties, req.Owner)
	if err != nil {
		return req, err
	}
	return req, a.describe(&req, img, in.Properties)
}

// describe writes what is said of the image into a request.
func (a *api) describe(req *contract.ImportRequest, img metadata.Image, said map[string]json.RawMessage) error {
	if img.Owner != req.Owner {
		return fieldError(errcode.Forbidden, "owner", img.Owner, "an import belongs to the project that asks for it, here %q", req.Owner)
	}
	if img.Hidden {
		return badField("os_hidden", "true", "an image can be hidden when it is there")
	}
	if _, chosen := said["id"]; chosen {
		req.ImageID = img.ID
	}
	// An image that is said to be something else than its source is converted.
	if img.DiskFormat != "" && img.DiskFormat != req.Source.Format {
		req.Target.Format = img.DiskFormat
	}
	req.Image = contract.ImageSpec{
		Name: img.Name, Visibility: img.Visibility, ContainerFormat: img.ContainerFormat, Tags: img.Tags, Properties: img.Properties,
		MinDisk: img.MinDisk, MinRAM: img.MinRAM, Protected: img.Protected,
	}
	return nil
}
