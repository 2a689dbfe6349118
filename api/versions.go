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

// versionList is what clients choose from.
func (a *api) versionList(r *http.Request) map[string][]version {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	link := []versionLink{{"self", scheme + "://" + r.Host + "/v2/"}}
	var out []version
	for i, id := range a.versionIDs() {
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
	if first == "v2" || first == "v1" || !isVersion(first) {
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
