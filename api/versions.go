package api

import (
	"net/http"
	"strings"

	"ingest/api/wire"
	"ingest/internal/errcode"
	"ingest/internal/verify"
	"ingest/metadata"
)

type versionLink struct {
	Rel  string `json:"rel"`
	Href string `json:"href"`
}

type version struct {
	ID     string        `json:"id"`
	Status string        `json:"status"`
	Links  []versionLink `json:"links"`
}

// versionList is what clients choose from. 2.12 brought the tasks of an image;
// 2.8, 2.10 and 2.11 belong to the choice of several stores, and stand there if
// there are several; 2.14 is the cache's.
func (a *api) versionList(r *http.Request) map[string][]version {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	link := []versionLink{{"self", scheme + "://" + r.Host + "/v2/"}}
	var out []version
	ids := []string{"v2.12", "v2.9"}
	if len(a.Stores) > 1 {
		ids = []string{"v2.12", "v2.11", "v2.10", "v2.9", "v2.8"}
	}
	if a.Cache != nil {
		ids = append([]string{"v2.14"}, ids...)
	}
	for i, id := range append(ids, "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0") {
		status := "SUPPORTED"
		if i == 0 {
			status = "CURRENT"
		}
		out = append(out, version{id, status, link})
	}
	return map[string][]version{"versions": out}
}

func (a *api) multipleChoices(w http.ResponseWriter, r *http.Request) error {
	writeJSON(w, http.StatusMultipleChoices, a.versionList(r))
	return nil
}

func (a *api) versions(w http.ResponseWriter, r *http.Request) error {
	writeJSON(w, http.StatusOK, a.versionList(r))
	return nil
}

// unknownPath answers what no route takes: the versions for an unknown one,
// else not found.
func (a *api) unknownPath(w http.ResponseWriter, r *http.Request) error {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if first == "v2" || first == "v1" || len(first) < 2 || first[0] != 'v' || strings.Trim(first[1:], "0123456789.") != "" {
		return errcode.New(errcode.NotFound, "there is no path %q", r.URL.Path)
	}
	return a.multipleChoices(w, r)
}

func (a *api) importInfo(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]any{"import-methods": map[string]any{
		"description": "Import methods available.", "type": "array", "value": a.methods(),
	}})
	return nil
}

// healthz answers 200 if requests can be taken, that is, if the catalogue
// answers.
func (a *api) healthz(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.Catalogue.Images(r.Context(), metadata.ImageFilter{Limit: 1}); err != nil {
		return withStatus(http.StatusServiceUnavailable, err)
	}
	writeJSON(w, http.StatusOK, wire.Health{Status: "ok"})
	return nil
}

func (a *api) server(w http.ResponseWriter, _ *http.Request) error {
	stores := a.Stores
	if stores == nil {
		stores = []string{}
	}
	level, least := a.Defaults.Verify.Bounds()
	keyrings, checksums := a.Defaults.Keyrings, []string{verify.SHA256, verify.SHA512}
	if keyrings == nil {
		keyrings = []string{}
	}
	if a.Defaults.AllowMD5 {
		checksums = append(checksums, verify.MD5)
	}
	writeJSON(w, http.StatusOK, wire.Server{
		Name: "ingest", Version: a.Version,
		OutputFormat: a.Defaults.OutputFormat, OutputCompression: a.Defaults.OutputCompression,
		Stores: stores, DefaultStore: a.DefaultStore,
		SourceSchemes: a.Defaults.Schemes, SourceFormats: a.Defaults.SourceFormats, Targets: a.Defaults.Targets, Presets: a.Defaults.Presets,
		Verify: level, VerifyMinimum: least, Checksums: checksums, Keyrings: keyrings,
	})
	return nil
}
