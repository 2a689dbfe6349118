package api

import (
	"net/http"

	"ingest/api/wire"
	"ingest/metadata"
)

// quotaList says what the caller's project uses, exactly.
func (a *api) quotaList(r *http.Request) (wire.QuotaList, error) {
	if err := a.mayAct(r, "ingest:quota"); err != nil {
		return wire.QuotaList{}, err
	}
	owner := project(r.Context())
	u, l, err := a.Catalogue.Usage(r.Context(), owner)
	if err != nil {
		return wire.QuotaList{}, err
	}
	return wire.QuotaList{Project: owner, Reserved: u.Reserved, Quotas: []wire.Quota{
		{Name: metadata.QuotaImageCount, Usage: u.Images, Limit: l.Images},
		{Name: metadata.QuotaImageBytes, Unit: "bytes", Usage: u.ImageBytes + u.Reserved, Limit: l.ImageBytes},
		{Name: metadata.QuotaStageBytes, Unit: "bytes", Usage: u.StageBytes, Limit: l.StageBytes},
		{Name: metadata.QuotaUploading, Usage: u.Uploading, Limit: l.Uploading},
	}}, nil
}

func (a *api) quotas(w http.ResponseWriter, r *http.Request) error {
	out, err := a.quotaList(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// usageInfo is Glance's answer: sizes in MiB, used ones rounded up and limits
// down, so that what it admits is never more than what there is.
func (a *api) usageInfo(w http.ResponseWriter, r *http.Request) error {
	list, err := a.quotaList(r)
	if err != nil {
		return err
	}
	type figures struct {
		Usage int64 `json:"usage"`
		Limit int64 `json:"limit"`
	}
	out := map[string]figures{}
	for _, q := range list.Quotas {
		f := figures{q.Usage, q.Limit}
		if q.Unit == "bytes" {
			f.Usage = q.Usage>>20 + min(q.Usage&(1<<20-1), 1)
			f.Limit = q.Limit >> 20 // -1 stays
		}
		out[q.Name] = f
	}
	writeJSON(w, http.StatusOK, map[string]any{"usage": out})
	return nil
}
