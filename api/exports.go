package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/logging"
)

// submitExport takes an export with everything that can be said of it.
func (a *api) submitExport(w http.ResponseWriter, r *http.Request) error {
	var req contract.ExportRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	if err := noRoles(req.Roles); err != nil {
		return err
	}
	if err := keyOf(r, &req.IdempotencyKey); err != nil {
		return err
	}
	asked := req.Import()
	if err := a.mayExport(r, &asked); err != nil {
		return err
	}
	out, err := a.accept(r.Context(), asked, false)
	if err != nil {
		return err
	}
	writeSubmitted(w, out)
	return nil
}

// mayExport judges an export and who asks for it, and writes into it whose it is: an
// export belongs to the project that owns the image.
func (a *api) mayExport(r *http.Request, req *contract.ImportRequest) error {
	if err := req.Export().Check(); err != nil {
		return err
	}
	r.SetPathValue("id", req.ImageID)
	img, target, err := a.targetedImage(r, "ingest:export")
	if err != nil {
		return err
	}
	if err := a.judge(r, "download_image", target); err != nil {
		return err
	}
	if req.Owner != "" && req.Owner != img.Owner {
		return fieldError(errcode.Forbidden, "owner", req.Owner, "an export belongs to the project that owns the image")
	}
	if err := a.mayHurry(r, *req); err != nil {
		return err
	}
	req.Owner = img.Owner
	if err := a.sign(r, req); err != nil {
		return err
	}
	return a.checkExport(*req)
}

// checkExport checks what can be said of an export without its image and destination.
func (a *api) checkExport(req contract.ImportRequest) error {
	if req.Target.Format != "" || req.Target.Compression != "" || len(req.Target.Options) > 0 {
		if req.Target.Format == "" {
			return badField("target.format", "", "options and compression need the format that they are of")
		}
		if err := a.checkTarget(req.Target); err != nil {
			return err
		}
	}
	if err := checkKey("idempotency_key", req.IdempotencyKey); err != nil {
		return err
	}
	if err := checkText("user_id", req.UserID, maxName); err != nil {
		return err
	}
	return a.checkDestination(req.Destination.URL)
}

// checkDestination checks a destination's URL as those of sources are.
func (a *api) checkDestination(raw string) error {
	const field = "destination.url"
	scheme := "file"
	if !strings.HasPrefix(raw, "/") {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme == "" {
			return fieldError(errcode.DestinationInvalid, field, "", "expected a URL, or an absolute path on the server")
		}
		scheme = strings.ToLower(u.Scheme)
		switch {
		case u.User != nil || scheme == "s3" && slices.ContainsFunc(u.Query()["endpoint"], func(at string) bool { return strings.Contains(at, "@") }):
			// The value is not shown: it holds a password.
			return fieldError(errcode.DestinationInvalid, field, "", "a URL must not hold a user name or password; name a credential instead")
		case !a.Defaults.SignedURLs && secretQuery(u) != "":
			return fieldError(errcode.DestinationSecret, field, "", "the URL's query holds a secret, %q; name a credential instead", secretQuery(u))
		case strings.Contains(raw, "#"):
			return fieldError(errcode.DestinationInvalid, field, logging.URL(raw), "a destination has no fragment; write # in a name as %%23")
		case scheme != "file" && u.Host == "":
			return fieldError(errcode.DestinationInvalid, field, logging.URL(raw), "the URL has no host")
		}
	}
	if !slices.Contains(a.Defaults.Destinations, scheme) {
		err := fieldError(errcode.DestinationScheme, field, scheme, "this server sends images to no %s destinations", errcode.Shown(scheme))
		return err
	}
	return nil
}

// exportAsked is the input of a task of type export.
type exportAsked struct {
	ImageID    string
	To         string
	Format     string
	Options    map[string]string
	Credential string
	Overwrite  bool
}

func (in *exportAsked) members() map[string]any {
	return map[string]any{
		"image_id": &in.ImageID, "export_to": &in.To, "export_to_format": &in.Format, "export_options": &in.Options,
		"credential": &in.Credential, "overwrite": &in.Overwrite,
	}
}

// exportInput reads the input of a task of type export.
func (a *api) exportInput(r *http.Request, input map[string]json.RawMessage) (contract.ImportRequest, error) {
	var in exportAsked
	if err := readInput("input", input, in.members(), "an export"); err != nil {
		return contract.ImportRequest{}, err
	}
	for name, value := range map[string]string{"image_id": in.ImageID, "export_to": in.To} {
		if value == "" {
			return contract.ImportRequest{}, badField("input."+name, "", "an export needs it")
		}
	}
	return contract.ExportRequest{
		ImageID: in.ImageID, Target: contract.TargetSpec{Format: in.Format, Options: in.Options},
		Destination: contract.DestinationSpec{URL: in.To, Credential: in.Credential, Overwrite: in.Overwrite},
	}.Import(), nil
}

// exportMessage says in a sentence what an export has done.
func exportMessage(e contract.Exported) string {
	proof := "and read back"
	if !e.Verified {
		proof = "which cannot be read back"
	}
	return "The image was exported as " + e.DiskFormat + " to " + e.Destination + ", " + proof + "."
}
