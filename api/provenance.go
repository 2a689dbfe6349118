package api

import (
	"net/http"
	"strconv"

	"ingest/internal/access"
	"ingest/internal/errcode"
	"ingest/internal/provenance"
)

// provenance sends the record of where an image's bytes come from, as it is kept:
// an envelope if it is signed, else the bare statement.
func (a *api) provenance(w http.ResponseWriter, r *http.Request) error {
	img, err := a.imageFor(r, "ingest:provenance")
	if err != nil {
		return err
	}
	p, err := a.Catalogue.Provenance(r.Context(), img.ID)
	if errcode.Of(err) == errcode.NotFound {
		return errcode.New(errcode.NotFound, "image %s has no provenance record: what gives it its bytes makes one", img.ID)
	}
	if err != nil {
		return err
	}
	media, statement := provenance.StatementMedia, p.Document
	if d, err := provenance.Open(p.Document); err == nil {
		media, statement = d.Media(), d.Payload
	}
	if a.tells(r, statement) { // what is left of it would be no record any more: it may be signed
		return errcode.New(errcode.Forbidden, "the record of image %s tells of properties that you may not read", img.ID).
			With(errcode.Evidence{Structure: "property protections", Field: "properties", Value: string(access.Read)})
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(p.Document)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		// A client that goes away is no error of the server's.
		_, _ = w.Write(p.Document)
	}
	return nil
}
