package api

import (
	"cmp"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// openAPI answers with the description of all routes, OpenAPI 3.1.
func (a *api) openAPI(w http.ResponseWriter, _ *http.Request) error {
	doc := a.description()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(doc)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(doc)
	return nil
}

// object is a JSON object of the document.
type object = map[string]any

// openAPIDocument makes the document out of the routes: those below /v1 are described by
// operations, with the schemas of the types that they read and write; Glance's are named,
// and described where Glance describes them.
func (a *api) openAPIDocument() []byte {
	known := map[string]operation{}
	for _, op := range operations() {
		known[op.method+" "+op.path] = op
	}
	types := schemaSet{}
	paths := object{}
	for _, rt := range a.routes() {
		op, ours := known[rt.method+" "+rt.path]
		if !ours {
			op = glances(rt)
		}
		path := templateOf(rt.path)
		item, _ := paths[path].(object)
		if item == nil {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(rt.method)] = op.document(types, path)
	}
	raw, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "ingest", "version": cmp.Or(a.Version, "dev"),
			"description": "Brings disk images into an OpenStack image catalogue. Below /v2 it is the OpenStack Image API v2; what is below /v1 is ingest's own. " +
				"Sizes are bytes and times are UTC. Members are only added, never renamed: clients ignore those that they do not know.",
			"license": object{"name": "Apache 2.0", "identifier": "Apache-2.0"},
		},
		"servers":  []object{{"url": "/"}},
		"security": []object{{"token": []string{}}, {"bearer": []string{}}, {}},
		"tags": []object{
			{"name": "imports"}, {"name": "tasks"}, {"name": "images"}, {"name": "bulk"}, {"name": "webhooks"}, {"name": "schedules"}, {"name": "housekeeping"}, {"name": "server"},
			{"name": "glance", "externalDocs": object{"url": "https://docs.openstack.org/api-ref/image/v2/"}},
		},
		"paths": paths,
		"components": object{
			"schemas": types,
			"securitySchemes": object{
				"token":  object{"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
				"bearer": object{"type": "http", "scheme": "bearer"},
			},
		},
	}, "", " ")
	if err != nil {
		return []byte("{}")
	}
	return raw
}

// templateOf writes a route's path as OpenAPI does.
func templateOf(path string) string {
	return strings.ReplaceAll(strings.ReplaceAll(path, "{$}", ""), "...}", "}")
}

var wildcard = regexp.MustCompile(`\{([a-z_]+)\}`)

// glances is a route of OpenStack's, or one that every client asks first.
func glances(rt route) operation {
	return operation{method: rt.method, path: rt.path, tag: "glance",
		summary: rt.method + " " + templateOf(rt.path) + " of the OpenStack Image API v2"}
}

// document describes one operation.
func (op operation) document(types schemaSet, path string) object {
	out := object{"operationId": op.name(), "summary": op.summary, "tags": []string{op.tag}}
	if op.about != "" {
		out["description"] = op.about
	}
	var params []object
	for _, m := range wildcard.FindAllStringSubmatch(path, -1) {
		params = append(params, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, p := range op.params {
		params = append(params, object{"name": p.name, "in": p.in, "description": p.about, "schema": p.schema})
	}
	if params != nil {
		out["parameters"] = params
	}
	if op.body != nil {
		out["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": types.input(op.body)}}}
	}
	out["responses"] = op.responses(types)
	return out
}

func (op operation) responses(types schemaSet) object {
	failure := object{"description": "An error, with its stable code, evidence and a remedy.",
		"content": object{"application/json": object{"schema": types.output(errorBody)}}}
	out := object{"default": failure}
	for _, an := range op.answers {
		one := object{"description": cmp.Or(an.about, http.StatusText(an.status))}
		content := object{}
		switch {
		case an.kind != "":
			content[an.kind] = object{"schema": object{"type": "string"}}
		case len(an.bodies) == 1:
			content["application/json"] = object{"schema": types.output(an.bodies[0])}
		case len(an.bodies) > 1:
			var any []object
			for _, b := range an.bodies {
				any = append(any, types.output(b))
			}
			content["application/json"] = object{"schema": object{"anyOf": any}}
		}
		if an.stream != "" {
			content["text/event-stream"] = object{"schema": object{"type": "string", "description": an.stream}}
		}
		if len(content) > 0 {
			one["content"] = content
		}
		out[strconv.Itoa(an.status)] = one
	}
	if op.tag == "glance" {
		out["2XX"] = object{"description": "As the OpenStack Image API v2 has it."}
	}
	return out
}

// name is what generators of clients call the operation.
func (op operation) name() string {
	words := strings.FieldsFunc(strings.ToLower(op.method)+op.path, func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9') })
	for i, w := range words[1:] {
		words[i+1] = strings.ToUpper(w[:1]) + w[1:]
	}
	if strings.HasSuffix(templateOf(op.path), "/") {
		words = append(words, "Root")
	}
	return strings.Join(slices.Compact(words), "")
}
