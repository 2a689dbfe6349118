package api

import (
	"slices"

	"ingest/api/wire"
	"ingest/cache"
	"ingest/internal/contract"
)

// An operation describes a route below /v1. A route that none describes fails a test.
type operation struct {
	method, path string // as in routes()
	tag          string
	summary      string
	about        string // more than the summary says, "" for nothing
	params       []param
	body         any // a value of the type that is read, nil for none
	answers      []reply
}

// A param is one of the query, or a header.
type param struct {
	name, in, about string
	schema          object
}

// A reply is one answer that is no error.
type reply struct {
	status int
	bodies []any  // a value of each type that may be written, none for no body
	about  string // "" for the status's own words
	kind   string // media type of what is no single JSON value
	stream string // what a stream of events tells, if there is one besides
}

func ok(status int, bodies ...any) []reply { return []reply{{status: status, bodies: bodies}} }

func query(name, about, kind string) param {
	return param{name, "query", about, object{"type": kind}}
}

func header(name, about string) param { return param{name, "header", about, object{"type": "string"}} }

// taskEventsAbout says what a stream of events holds.
const taskEventsAbout = "Server-sent events: stage, each line of the task's history with its number as id; progress, with the body of the JSON answer; end, with the whole task. " +
	"Whoever comes again sends Last-Event-ID and is told what it missed; after the end the answer is 204."

// operations are those of all routes below /v1.
func operations() []operation {
	lastEvent := header("Last-Event-ID", "id of the last event that was received")
	page := []param{query("limit", "how many at most", "integer"), query("marker", "id of the last one of the page before", "string")}
	return append([]operation{
		{method: "POST", path: "/v1/imports", tag: "imports", summary: "Import an image",
			about:  "The request is recorded, and its workflow started. With dry_run nothing is recorded, and the answer says what the import would do.",
			params: []param{query("dry_run", "only say what the import would do", "boolean"), header("Idempotency-Key", "the same key is the same import, however often it is sent")},
			body:   contract.ImportRequest{}, answers: []reply{
				{status: 202, bodies: []any{wire.Submitted{}}, about: "Accepted."},
				{status: 200, bodies: []any{wire.Submitted{}, contract.Forecast{}}, about: "It had been accepted before; or the forecast of a dry run."}}},
		{method: "POST", path: "/v1/exports", tag: "exports", summary: "Send an image to a destination",
			about:  "Converted on the way, and read back where that can be done. The image is only read.",
			params: []param{header("Idempotency-Key", "the same key is the same export, however often it is sent")},
			body:   contract.ExportRequest{}, answers: []reply{
				{status: 202, bodies: []any{wire.Submitted{}}, about: "Accepted."},
				{status: 200, bodies: []any{wire.Submitted{}}, about: "It had been accepted before."}}},
		{method: "GET", path: "/v1/tasks", tag: "tasks", summary: "List tasks, newest first",
			params:  append(page, query("status", "pending, processing, success, failure", "string"), query("type", "type of the task", "string"), query("image_id", "of this image", "string")),
			answers: ok(200, wire.TaskList{})},
		{method: "GET", path: "/v1/schemas/tasks/{type}", tag: "tasks", summary: "Show the JSON Schema of the input of tasks that are made by POST /v2/tasks",
			about: "The type is import, export or clone. The formats, stores and destinations are those of this server.", answers: []reply{{status: 200, kind: "application/schema+json"}}},
		{method: "GET", path: "/v1/tasks/{id}", tag: "tasks", summary: "Show a task with its history", answers: ok(200, wire.Task{})},
		{method: "GET", path: "/v1/tasks/{id}/progress", tag: "tasks", summary: "Say how far a task is", params: []param{lastEvent},
			about:   "With `Accept: text/event-stream` it is told as it happens.",
			answers: []reply{{status: 200, bodies: []any{contract.Progress{}}, stream: taskEventsAbout}, {status: 204, about: "The listener has had the end."}}},
		{method: "GET", path: "/v1/tasks/{id}/stream", tag: "tasks", summary: "Tell what happens to a task, as it happens", params: []param{lastEvent},
			answers: []reply{{status: 200, stream: taskEventsAbout}, {status: 204, about: "The listener has had the end."}}},
		{method: "GET", path: "/v1/tasks/{id}/events", tag: "tasks", summary: "Show a task's history", answers: ok(200, wire.Events{})},
		{method: "GET", path: "/v1/tasks/{id}/policy", tag: "tasks", summary: "Show what the operator's policy said of a task", answers: ok(200, wire.TaskPolicy{})},
		{method: "POST", path: "/v1/tasks/{id}/cancel", tag: "tasks", summary: "Ask a task to stop and to clean up", answers: ok(202, wire.Task{})},
		{method: "POST", path: "/v1/tasks/{id}/pause", tag: "tasks", summary: "Let a task's work stand still until it is resumed", answers: ok(202, wire.Task{})},
		{method: "POST", path: "/v1/tasks/{id}/resume", tag: "tasks", summary: "Let a paused task go on where it was", answers: ok(202, wire.Task{})},
		{method: "POST", path: "/v1/tasks/{id}/retry", tag: "tasks", summary: "Do what a failed task was to do, in a new task for the same image", answers: ok(202, wire.Submitted{})},
		{method: "PUT", path: "/v1/tasks/{id}/priority", tag: "tasks", summary: "Give a task another place among those that wait",
			body: wire.Priority{}, answers: ok(202, wire.Task{})},
		{method: "GET", path: "/v1/images/{id}/provenance", tag: "images", summary: "Show the record of where an image's bytes come from",
			about: "An in-toto statement, in a DSSE envelope where the server signs.", answers: ok(200, object{})},
		{method: "POST", path: "/v1/images/{id}/restore", tag: "images", summary: "Take back the deletion of an image whose bytes are kept", answers: ok(200, wire.Image{})},
		{method: "POST", path: "/v1/fsck", tag: "housekeeping", summary: "Compare the catalogue with what is stored", body: contract.CheckParams{},
			answers: []reply{{status: 200, kind: "application/x-ndjson", about: "One JSON value a line, as it is found."}}},
		{method: "POST", path: "/v1/gc", tag: "housekeeping", summary: "Remove what nobody needs", body: contract.ReapParams{}, answers: ok(202, wire.Reap{})},
		{method: "GET", path: "/v1/gc/{id}", tag: "housekeeping", summary: "Show what a collection has removed", answers: ok(200, wire.Reap{})},
		{method: "GET", path: "/v1/quota", tag: "server", summary: "Show what a project uses, and what it may use",
			params: []param{query("project", "of this project, for administrators", "string")}, answers: ok(200, wire.QuotaList{})},
		{method: "GET", path: "/v1/cache", tag: "housekeeping", summary: "Show all that is known of the cache", answers: ok(200, cache.View{})},
		{method: "GET", path: "/v1/healthz", tag: "server", summary: "Say whether the server takes requests", answers: ok(200, wire.Health{})},
		{method: "GET", path: "/v1/server", tag: "server", summary: "Say what the server takes and makes", answers: ok(200, wire.Server{})},
		{method: "GET", path: "/v1/openapi.json", tag: "server", summary: "This document", answers: ok(200, object{})},
	}, slices.Concat(webhookOperations(), scheduleOperations(), bulkOperations())...)
}

func webhookOperations() []operation {
	return []operation{
		{method: "GET", path: "/v1/webhooks", tag: "webhooks", summary: "List the project's webhooks", answers: ok(200, wire.WebhookList{})},
		{method: "POST", path: "/v1/webhooks", tag: "webhooks", summary: "Add a webhook", about: "The answer alone has the secret by which notices are signed.",
			body: wire.NewWebhook{}, answers: ok(201, wire.Webhook{})},
		{method: "GET", path: "/v1/webhooks/{id}", tag: "webhooks", summary: "Show a webhook with its last deliveries", answers: ok(200, wire.Webhook{})},
		{method: "DELETE", path: "/v1/webhooks/{id}", tag: "webhooks", summary: "Remove a webhook, and what has not been sent to it yet", answers: ok(204)},
		{method: "POST", path: "/v1/webhooks/{id}/test", tag: "webhooks", summary: "Send a test notice", answers: ok(202, wire.Delivery{})},
		{method: "POST", path: "/v1/webhooks/{id}/enable", tag: "webhooks", summary: "Tell a webhook again that was disabled because it took nothing", answers: ok(200, wire.Webhook{})},
	}
}

func scheduleOperations() []operation {
	const one = "/v1/schedules/{id}"
	return []operation{
		{method: "GET", path: "/v1/schedules", tag: "schedules", summary: "List the project's schedules, the oldest first",
			params: []param{query("all_projects", "those of all projects, for administrators", "boolean")}, answers: ok(200, wire.ScheduleList{})},
		{method: "POST", path: "/v1/schedules", tag: "schedules", summary: "Make a schedule",
			about: "By what the source is trusted must be chosen, even if it is none. The import is checked as one that is submitted now.",
			body:  contract.ScheduleSpec{}, answers: ok(201, wire.Schedule{})},
		{method: "GET", path: one, tag: "schedules", summary: "Show a schedule with its versions, its last runs and its next times", answers: ok(200, wire.Schedule{})},
		{method: "DELETE", path: one, tag: "schedules", summary: "End a schedule; its images stay", answers: ok(204)},
		{method: "POST", path: one + "/pause", tag: "schedules", summary: "Pause a schedule", body: wire.SchedulePause{}, answers: ok(200, wire.Schedule{})},
		{method: "POST", path: one + "/resume", tag: "schedules", summary: "Let a schedule go on", answers: ok(200, wire.Schedule{})},
		{method: "POST", path: one + "/trigger", tag: "schedules", summary: "Run a schedule now", about: "The answer names the run's task.", answers: ok(202, wire.Submitted{})},
		{method: "POST", path: one + "/backfill", tag: "schedules", summary: "Run a schedule once for each time that it had between two moments", body: wire.Backfill{}, answers: ok(202, wire.Backfilled{})},
		{method: "POST", path: one + "/rollback", tag: "schedules", summary: "Switch to an older version",
			about: "Runs do not switch to the version that was current again, as long as the source stays as it was.", body: wire.Rollback{}, answers: ok(200, wire.RolledBack{})},
	}
}
