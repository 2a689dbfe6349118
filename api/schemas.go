package api

import (
	"net/http"
	"slices"

	"ingest/internal/schemas"
)

// schemaRoutes answer with the schemas of what the API takes and gives. They say nothing
// of anybody, so no rule stands before them.
func (a *api) schemaRoutes() []route {
	all := schemas.All(a.schemaOptions())
	var out []route
	for path, schema := range all {
		out = append(out, route{"GET", "/v2/schemas/" + path, func(w http.ResponseWriter, _ *http.Request) error {
			writeJSON(w, http.StatusOK, schema)
			return nil
		}})
	}
	slices.SortFunc(out, func(a, b route) int {
		if a.path < b.path {
			return -1
		}
		return 1
	})
	return out
}

// schemaOptions say what this server is able to do.
func (a *api) schemaOptions() schemas.Options {
	return schemas.Options{
		Stores: len(a.Stores) > 1, DiskFormats: diskFormats, ContainerFormats: containerFormats, Image: a.ImageProperties,
	}
}
