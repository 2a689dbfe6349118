package api

import (
	"ingest/api/wire"
	"ingest/metadata"
)

// bulkHead are the members of a manifest's head that a query may have.
func bulkHead() []param {
	return []param{
		query("dry_run", "only say what would become of every item: lines of JSON, the summary last", "boolean"), query("name", "by which people and later submissions know the bulk", "string"), query("again", "do also what an earlier bulk has done", "boolean"),
		query("concurrency", "items that run at once", "integer"), query("per_host", "of them from one host", "integer"),
		query("per_store", "of them into one store", "integer"), query("per_project", "items of all bulks of the project at once", "integer"),
		query("bandwidth", "bytes a second read from the sources, such as 52428800 or 50MiB; 0 is no limit", "string"), query("bandwidth_per_host", "of it from one host", "string"),
		query("bandwidth_per_store", "bytes a second written into one store", "string"), query("bandwidth_per_project", "bytes a second read for all bulks of the project", "string"),
		query("window", "in which items begin, such as 22:00-06:00 Europe/Berlin; any number of them", "string"), query("on_failure", "continue or stop", "string"),
	}
}

func bulkOperations() []operation {
	const manifest = "The body is a manifest, in JSON, YAML, CSV or NDJSON by its Content-Type; its schema is at /v1/schemas/bulk. What the query says stands above it."
	page := []param{query("limit", "how many at most", "integer"), query("marker", "id of the last bulk, or number of the last item, of the page before", "string")}
	accepted := ok(202, wire.Bulk{})
	return []operation{
		{method: "GET", path: "/v1/bulk", tag: "bulk", summary: "List imports in bulk, newest first",
			params: append(page, query("name", "of this name", "string"), query("owner", "of this project, for administrators", "string")), answers: ok(200, wire.BulkList{})},
		{method: "POST", path: "/v1/bulk", tag: "bulk", summary: "Import many sources", about: manifest, params: bulkHead(), body: object{},
			answers: []reply{{status: 202, bodies: []any{wire.Bulk{}}, about: "Accepted."}, {status: 200, bodies: []any{wire.Bulk{}}, about: "The same bulk runs already; or the lines of a dry run."}}},
		{method: "GET", path: "/v1/schemas/bulk", tag: "bulk", summary: "Show the JSON Schema of manifests", answers: []reply{{status: 200, kind: "application/schema+json"}}},
		{method: "GET", path: "/v1/bulk/{id}", tag: "bulk", summary: "Show how far a bulk is", answers: ok(200, wire.Bulk{})},
		{method: "PATCH", path: "/v1/bulk/{id}", tag: "bulk", summary: "Change how a bulk is worked on", about: "Members that are left out stay as they are.",
			body: metadata.BulkSettings{}, answers: accepted},
		{method: "GET", path: "/v1/bulk/{id}/items", tag: "bulk", summary: "List the items of a bulk, by number",
			params:  append(page, query("state", "pending, waiting, running, active, failed, skipped, cancelled; any number of them", "string"), query("host", "of this source host", "string")),
			answers: ok(200, wire.BulkItemList{})},
		{method: "GET", path: "/v1/bulk/{id}/report", tag: "bulk", summary: "Tell all that is known of a bulk", about: "With format csv or html, the answer is a table or a page.",
			params: []param{query("format", "json, csv or html", "string")}, answers: ok(200, wire.BulkReport{})},
		{method: "POST", path: "/v1/bulk/{id}/pause", tag: "bulk", summary: "Begin nothing more; what runs goes on", answers: accepted},
		{method: "POST", path: "/v1/bulk/{id}/resume", tag: "bulk", summary: "Go on with a paused bulk", answers: accepted},
		{method: "POST", path: "/v1/bulk/{id}/cancel", tag: "bulk", summary: "Give up what has not begun",
			params: []param{query("abort", "cancel what runs too", "boolean")}, answers: accepted},
		{method: "POST", path: "/v1/bulk/{id}/retry", tag: "bulk", summary: "Try again what has failed or was given up, and only that", answers: accepted},
	}
}
