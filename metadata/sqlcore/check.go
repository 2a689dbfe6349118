package sqlcore

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// Lengths of the column types, in characters. They bind in every database, so
// that what one of them keeps the others keep too.
const (
	maxID   = 64
	maxWord = 64
	maxName = 255  // two of them fit an index of InnoDB (3072 bytes)
	maxLong = 1024 // never indexed
	maxText = 16 << 20
)

// A column is one text and what its column can hold.
type column struct {
	field, value string
	max          int
}

func checkImage(img metadata.Image) error {
	columns := []column{
		{"id", img.ID, maxID}, {"name", img.Name, maxName}, {"owner", img.Owner, maxName},
		{"status", string(img.Status), maxWord}, {"visibility", img.Visibility, maxWord},
		{"disk_format", img.DiskFormat, maxWord}, {"container_format", img.ContainerFormat, maxWord},
		{"checksum", img.Checksum, maxName}, {"hash_algo", img.HashAlgo, maxWord},
		{"hash_value", img.HashValue, maxName}, {"content_digest", img.ContentDigest, maxName},
		{"store", img.Store, maxName}, {"key", img.Key, maxLong},
	}
	for _, c := range img.Copies {
		columns = append(columns, column{"store", c.Store, maxName}, column{"key", c.Key, maxLong}, column{"status", string(c.Status), maxWord})
		for name, value := range c.Metadata {
			columns = append(columns, column{"metadata", name, maxName}, column{"metadata", value, maxText})
		}
	}
	for _, tag := range img.Tags {
		columns = append(columns, column{"tags", tag, maxName})
	}
	for name, value := range img.Properties {
		columns = append(columns, column{"properties", name, maxName}, column{"properties", value, maxText})
	}
	return check("image", img.ID, columns)
}

func checkTask(t metadata.Task) error {
	return check("task", t.ID, []column{
		{"id", t.ID, maxID}, {"type", t.Type, maxWord}, {"status", string(t.Status), maxWord},
		{"stage", t.Stage, maxWord}, {"owner", t.Owner, maxName}, {"user_id", t.UserID, maxName},
		{"request_id", t.RequestID, maxName}, {"image_id", t.ImageID, maxID},
		{"workflow_id", t.WorkflowID, maxLong}, {"idempotency_key", t.IdempotencyKey, maxName},
		{"request", string(t.Request), maxText}, {"result", string(t.Result), maxText},
		{"message", t.Message, maxText}, {"retry_of", t.RetryOf, maxID},
	})
}

func checkProvenance(p metadata.Provenance) error {
	return check("provenance", p.ImageID, []column{
		{"image_id", p.ImageID, maxID}, {"document", string(p.Document), maxText},
	})
}

func checkEvent(e metadata.Event) error {
	return check("event", e.TaskID, []column{
		{"task_id", e.TaskID, maxID}, {"kind", e.Kind, maxWord}, {"status", e.Status, maxWord},
		{"stage", e.Stage, maxWord}, {"code", e.Code, maxWord}, {"message", e.Message, maxText},
		{"detail", string(e.Detail), maxText},
	})
}

// check returns errcode.BadRequest for a text that not every database keeps as
// it is: too long, no UTF-8, or with a NUL.
func check(what, id string, columns []column) error {
	if id == "" {
		return errcode.New(errcode.BadRequest, "%s has no id", what)
	}
	for _, c := range columns {
		ev := errcode.Evidence{Structure: what, Field: c.field}
		switch {
		case !utf8.ValidString(c.value) || strings.ContainsRune(c.value, 0):
			return errcode.New(errcode.BadRequest, "%s of %s is no plain UTF-8 text", c.field, what).With(ev)
		// Bytes first: counting characters is slow for long texts.
		case len(c.value) > c.max && utf8.RuneCountInString(c.value) > c.max:
			ev.Value = strconv.Itoa(utf8.RuneCountInString(c.value)) + " characters"
			ev.Limit = strconv.Itoa(c.max)
			return errcode.New(errcode.BadRequest, "%s of %s has more than %d characters", c.field, what, c.max).With(ev)
		}
	}
	return nil
}
