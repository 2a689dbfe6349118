package sqlcore

import (
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"ingest/internal/errcode"
	"ingest/metadata"
)

type imageRow struct {
	bun.BaseModel `bun:"table:images,alias:i"`

	ID               string `bun:"id,pk"`
	Name             string `bun:"name"`
	Owner            string `bun:"owner"`
	Status           string `bun:"status"`
	Visibility       string `bun:"visibility"`
	Protected        bool   `bun:"protected"`
	Hidden           bool   `bun:"is_hidden"`
	DiskFormat       string `bun:"disk_format"`
	ContainerFormat  string `bun:"container_format"`
	SizeBytes        *int64 `bun:"size_bytes"`
	VirtualSizeBytes *int64 `bun:"virtual_size_bytes"`
	Checksum         string `bun:"checksum"`
	HashAlgo         string `bun:"hash_algo"`
	HashValue        string `bun:"hash_value"`
	ContentDigest    string `bun:"content_digest"`
	Store            string `bun:"store"`
	ObjectKey        string `bun:"object_key"`
	MinDiskGiB       int64  `bun:"min_disk_gib"`
	MinRAMMiB        int64  `bun:"min_ram_mib"`
	Tags             string `bun:"tags"`
	Properties       string `bun:"properties"`
	CreatedUS        int64  `bun:"created_us"`
	UpdatedUS        int64  `bun:"updated_us"`
	DeletedUS        *int64 `bun:"deleted_us"`
	SizeOrder        int64  `bun:"size_order"` // where the image stands in lists by size
	RowVersion       int64  `bun:"row_version"`
}

func newImageRow(img metadata.Image) (imageRow, error) {
	if err := checkImage(img); err != nil {
		return imageRow{}, err
	}
	tags, err := encode("image", "tags", img.Tags, len(img.Tags) == 0)
	if err != nil {
		return imageRow{}, err
	}
	properties, err := encode("image", "properties", img.Properties, len(img.Properties) == 0)
	if err != nil {
		return imageRow{}, err
	}
	return imageRow{
		SizeOrder: sizeOrder(img.Size),
		ID:        img.ID, Name: img.Name, Owner: img.Owner, Status: string(img.Status),
		Visibility: img.Visibility, Protected: img.Protected, Hidden: img.Hidden,
		DiskFormat: img.DiskFormat, ContainerFormat: img.ContainerFormat,
		SizeBytes: img.Size, VirtualSizeBytes: img.VirtualSize,
		Checksum: img.Checksum, HashAlgo: img.HashAlgo, HashValue: img.HashValue,
		ContentDigest: img.ContentDigest, Store: img.Store, ObjectKey: img.Key,
		MinDiskGiB: img.MinDisk, MinRAMMiB: img.MinRAM, Tags: tags, Properties: properties,
		CreatedUS: micros(img.CreatedAt), UpdatedUS: micros(img.UpdatedAt), DeletedUS: microsPtr(img.DeletedAt),
	}, nil
}

// sizeOrder is a size as lists are ordered by it: databases put nulls at different ends.
func sizeOrder(size *int64) int64 {
	if size == nil {
		return -1
	}
	return *size
}

func (r imageRow) image() (metadata.Image, error) {
	img := metadata.Image{
		ID: r.ID, Name: r.Name, Owner: r.Owner, Status: metadata.ImageStatus(r.Status),
		Visibility: r.Visibility, Protected: r.Protected, Hidden: r.Hidden,
		DiskFormat: r.DiskFormat, ContainerFormat: r.ContainerFormat,
		Size: r.SizeBytes, VirtualSize: r.VirtualSizeBytes,
		Checksum: r.Checksum, HashAlgo: r.HashAlgo, HashValue: r.HashValue,
		ContentDigest: r.ContentDigest, Store: r.Store, Key: r.ObjectKey,
		MinDisk: r.MinDiskGiB, MinRAM: r.MinRAMMiB,
		CreatedAt: moment(r.CreatedUS), UpdatedAt: moment(r.UpdatedUS), DeletedAt: momentPtr(r.DeletedUS),
	}
	if err := decode("image "+r.ID, "tags", r.Tags, &img.Tags); err != nil {
		return metadata.Image{}, err
	}
	return img, decode("image "+r.ID, "properties", r.Properties, &img.Properties)
}

type taskRow struct {
	bun.BaseModel `bun:"table:tasks"`

	ID             string  `bun:"id,pk"`
	Type           string  `bun:"type"`
	Status         string  `bun:"status"`
	Stage          string  `bun:"stage"`
	Owner          string  `bun:"owner"`
	UserID         string  `bun:"user_id"`
	RequestID      string  `bun:"request_id"`
	ImageID        string  `bun:"image_id"`
	WorkflowID     string  `bun:"workflow_id"`
	IdempotencyKey *string `bun:"idempotency_key"` // null for none: nulls do not collide
	Request        string  `bun:"request"`
	Result         string  `bun:"result"`
	Message        string  `bun:"message"`
	Error          string  `bun:"error"`
	Restarts       int64   `bun:"restarts"`
	Paused         bool    `bun:"paused"`
	Priority       int64   `bun:"priority"`
	RetryOf        string  `bun:"retry_of"`
	Steered        int64   `bun:"steered"`
	SteerTold      int64   `bun:"steer_told"`
	CreatedUS      int64   `bun:"created_us"`
	UpdatedUS      int64   `bun:"updated_us"`
	ExpiresUS      *int64  `bun:"expires_us"`
	RowVersion     int64   `bun:"row_version"`
}

func newTaskRow(t metadata.Task) (taskRow, error) {
	if err := checkTask(t); err != nil {
		return taskRow{}, err
	}
	why, err := encode("task", "error", t.Error, t.Error == nil)
	if err != nil {
		return taskRow{}, err
	}
	row := taskRow{
		ID: t.ID, Type: t.Type, Status: string(t.Status), Stage: t.Stage, Owner: t.Owner,
		UserID: t.UserID, RequestID: t.RequestID, ImageID: t.ImageID, WorkflowID: t.WorkflowID,
		Request: string(t.Request), Result: string(t.Result), Message: t.Message, Error: why,
		Restarts: int64(t.Restarts), Paused: t.Paused, Priority: int64(t.Priority), RetryOf: t.RetryOf,
		Steered: t.Steered, SteerTold: t.SteerTold,
		CreatedUS: micros(t.CreatedAt), UpdatedUS: micros(t.UpdatedAt), ExpiresUS: microsPtr(t.ExpiresAt),
	}
	if t.IdempotencyKey != "" {
		row.IdempotencyKey = &t.IdempotencyKey
	}
	return row, nil
}

func (r taskRow) task() (metadata.Task, error) {
	t := metadata.Task{
		ID: r.ID, Type: r.Type, Status: metadata.TaskStatus(r.Status), Stage: r.Stage, Owner: r.Owner,
		UserID: r.UserID, RequestID: r.RequestID, ImageID: r.ImageID, WorkflowID: r.WorkflowID,
		Request: raw(r.Request), Result: raw(r.Result), Message: r.Message, Restarts: int(r.Restarts),
		Paused: r.Paused, Priority: int(r.Priority), RetryOf: r.RetryOf, Steered: r.Steered, SteerTold: r.SteerTold,
		CreatedAt: moment(r.CreatedUS), UpdatedAt: moment(r.UpdatedUS), ExpiresAt: momentPtr(r.ExpiresUS),
	}
	if r.IdempotencyKey != nil {
		t.IdempotencyKey = *r.IdempotencyKey
	}
	return t, decode("task "+r.ID, "error", r.Error, &t.Error)
}

type eventRow struct {
	bun.BaseModel `bun:"table:events"`

	Seq        int64  `bun:"seq,pk,autoincrement"`
	TaskID     string `bun:"task_id"`
	AtUS       int64  `bun:"at_us"`
	Kind       string `bun:"kind"`
	Status     string `bun:"status"`
	Stage      string `bun:"stage"`
	Attempt    int64  `bun:"attempt"`
	SizeBytes  int64  `bun:"size_bytes"`
	DurationNS int64  `bun:"duration_ns"`
	Code       string `bun:"code"`
	Message    string `bun:"message"`
	Detail     string `bun:"detail"`
}

func newEventRow(e metadata.Event) (eventRow, error) {
	if err := checkEvent(e); err != nil {
		return eventRow{}, err
	}
	return eventRow{
		TaskID: e.TaskID, AtUS: micros(e.At), Kind: e.Kind, Status: e.Status, Stage: e.Stage,
		Attempt: int64(e.Attempt), SizeBytes: e.Bytes, DurationNS: int64(e.Duration),
		Code: e.Code, Message: e.Message, Detail: string(e.Detail),
	}, nil
}

func (r eventRow) event() metadata.Event {
	return metadata.Event{
		Seq: r.Seq, TaskID: r.TaskID, At: moment(r.AtUS), Kind: r.Kind, Status: r.Status, Stage: r.Stage,
		Attempt: int(r.Attempt), Bytes: r.SizeBytes, Duration: time.Duration(r.DurationNS),
		Code: r.Code, Message: r.Message, Detail: raw(r.Detail),
	}
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func moment(us int64) time.Time { return time.UnixMicro(us).UTC() }

func microsPtr(t *time.Time) *int64 {
	if t == nil {
		return nil
	}
	us := t.UnixMicro()
	return &us
}

func momentPtr(us *int64) *time.Time {
	if us == nil {
		return nil
	}
	t := moment(*us)
	return &t
}

func raw(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

// encode writes a value as JSON text, an empty one as no text.
func encode(what, field string, v any, empty bool) (string, error) {
	if empty {
		return "", nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "", errcode.Wrap(err, errcode.BadRequest, "write %s of %s", field, what)
	}
	return string(b), nil
}

func decode(what, field, text string, v any) error {
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return errcode.Wrap(err, errcode.Internal, "read %s of %s", field, what)
	}
	return nil
}
