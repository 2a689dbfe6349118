package activities

import (
	"context"
	"encoding/json"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// RegisterActivityName is the activity's name.
const RegisterActivityName = contract.RegisterActivity

// defaultTaskType is Glance's type of a task that imports.
const defaultTaskType = "api_image_import"

// A RegisterActivity makes the catalogue's rows of an import, or finds those of
// an earlier submission, and starts the task.
type RegisterActivity struct{ d Deps }

// NewRegisterActivity returns the activity.
func NewRegisterActivity(d Deps) *RegisterActivity { return &RegisterActivity{d} }

// Execute returns the request as the catalogue has it. A task that has ended is
// returned with its end; one that another workflow runs is errcode.Conflict.
func (a *RegisterActivity) Execute(ctx context.Context, p contract.RegisterParams) (contract.RegisterResult, error) {
	w := work{stage: contract.StageRegister, taskID: p.Request.TaskID, imageID: p.Request.ImageID}
	return row(ctx, a.d, w, func(ctx context.Context) (contract.RegisterResult, error) {
		t, err := a.task(ctx, p)
		if err != nil {
			return contract.RegisterResult{}, err
		}
		if err := runBy(t, p.WorkflowID); err != nil {
			return contract.RegisterResult{}, err
		}
		out := contract.RegisterResult{Finished: t.Status.Finished()}
		if out.Request, err = request(t, p.Request); err != nil {
			return contract.RegisterResult{}, err
		}
		if out.Finished {
			return out, ended(t, &out)
		}
		if err := a.d.judged(ctx, t.ID, a.d.policy().Submission(out.Request)); err != nil {
			return contract.RegisterResult{}, err
		}
		out.Control = controlOf(t)
		return out, a.d.Catalogue.Start(ctx, t.ID)
	})
}

// controlOf is how a task is to be worked on, nil for one of which nothing is said.
func controlOf(t metadata.Task) *contract.Control {
	if t.Steered == 0 && t.Priority == contract.DefaultPriority {
		return nil
	}
	return &contract.Control{Revision: t.Steered, Paused: t.Paused, Priority: t.Priority}
}

// task finds or makes the rows.
func (a *RegisterActivity) task(ctx context.Context, p contract.RegisterParams) (metadata.Task, error) {
	t, err := a.d.Catalogue.Task(ctx, p.Request.TaskID)
	if errcode.Of(err) != errcode.NotFound {
		return t, err
	}
	in, err := a.accept(ctx, p)
	if err != nil {
		return metadata.Task{}, err
	}
	got, err := a.d.Catalogue.Accept(ctx, in)
	return got.Task, err
}

// accept is what the catalogue is told of a workflow that was started by hand.
func (a *RegisterActivity) accept(ctx context.Context, p contract.RegisterParams) (metadata.NewImport, error) {
	r := p.Request
	if r.Owner == "" {
		r.Owner = a.d.owner()
	}
	if r.TaskType == "" {
		r.TaskType = defaultTaskType
		switch r.Method {
		case contract.MethodLocate:
			r.TaskType = contract.LocationTaskType
		case contract.MethodClone:
			r.TaskType = contract.TypeClone
		}
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return metadata.NewImport{}, errcode.Wrap(err, errcode.Internal, "write request of task %s", r.TaskID)
	}
	in := metadata.NewImport{
		Task:  taskOf(r, p.WorkflowID, raw),
		Image: imageOf(r),
	}
	switch _, err := a.d.Catalogue.Image(ctx, r.ImageID); errcode.Of(err) {
	case "":
		in.ExistingImage = true
	case errcode.NotFound:
	default:
		return metadata.NewImport{}, err
	}
	return in, nil
}

// imageOf is the image that a request makes, without its bytes.
func imageOf(r contract.ImportRequest) metadata.Image {
	return metadata.Image{ID: r.ImageID, Name: r.Image.Name, Owner: r.Owner, Visibility: r.Image.Visibility,
		ContainerFormat: r.Image.ContainerFormat, Tags: r.Image.Tags, Properties: r.Image.Properties,
		MinDisk: r.Image.MinDisk, MinRAM: r.Image.MinRAM, Protected: r.Image.Protected, Hidden: r.Image.Hidden}
}

// request is the task's own request: what the catalogue has accepted counts,
// and not what the workflow was started with.
func request(t metadata.Task, asked contract.ImportRequest) (contract.ImportRequest, error) {
	r := asked
	if len(t.Request) > 0 {
		r = contract.ImportRequest{}
		if err := json.Unmarshal(t.Request, &r); err != nil {
			return r, errcode.Wrap(err, errcode.BadRequest, "the request of task %s is no import request", t.ID)
		}
	}
	r.TaskID, r.ImageID, r.TaskType, r.Owner = t.ID, t.ImageID, t.Type, t.Owner
	return r, nil
}

// ended fills in how a finished task has ended.
func ended(t metadata.Task, out *contract.RegisterResult) error {
	if t.Status == metadata.TaskSuccess {
		out.Result = &contract.ImportResult{}
		if err := json.Unmarshal(t.Result, out.Result); err != nil {
			return errcode.Wrap(err, errcode.Conflict, "task %s has succeeded, but its result cannot be read", t.ID)
		}
		return nil
	}
	v := contract.ValueOf(errcode.New(errcode.Internal, "task %s has failed: %s", t.ID, t.Message))
	if e := t.Error; e != nil {
		v = contract.ErrorValue{Code: e.Code, Message: e.Message, Evidence: e.Evidence, Remedy: e.Remedy}
	}
	out.Error = &v
	return nil
}
