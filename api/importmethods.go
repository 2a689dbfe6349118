package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// A Region is another cloud that images can be taken over from.
type Region struct {
	// URL is that of its image service, "" if the credential's cloud lists it.
	URL string
	// Credential is the name of the operator's credential for it, "" for none.
	Credential string
}

// source is the URL of an image in a region, as package sources/glance reads it.
func (g Region) source(name, image, service string) contract.SourceSpec {
	u := &url.URL{Scheme: "glance", Path: "/" + image}
	q := url.Values{}
	if at, err := url.Parse(g.URL); err == nil && g.URL != "" {
		u.Host, u.Path = at.Host, strings.TrimSuffix(at.Path, "/")+"/"+image
		if at.Scheme == "http" {
			q.Set("scheme", "http")
		}
	} else {
		q.Set("region", name)
		q.Set("interface", service)
	}
	u.RawQuery = q.Encode()
	return contract.SourceSpec{URL: u.String(), Credential: g.Credential}
}

// askedSource says what an import call reads, and for what was staged which task
// imports it. The image's disk_format is what the bytes are declared to be.
func (a *api) askedSource(r *http.Request, img metadata.Image, call importCall) (s contract.SourceSpec, task string, err error) {
	switch {
	case call.Method == nil:
		return s, "", badField("method", "", "an import needs a method")
	case call.Method.Name == "":
		return s, "", badField("method.name", "", "an import needs the name of a method")
	case !slices.Contains(a.methods(), call.Method.Name):
		return s, "", badField("method.name", call.Method.Name, "the import method is not enabled; there is %s", strings.Join(a.methods(), ", "))
	}
	switch call.Method.Name {
	case methodDirect:
		if s, task, err = a.stagedSource(r, img); err != nil {
			return s, "", err
		}
	case methodGlance:
		if s, err = a.regionSource(call); err != nil {
			return s, "", err
		}
	default:
		if s, err = downloadSource(call); err != nil {
			return s, "", err
		}
	}
	s.Format = img.DiskFormat
	return s, task, nil
}

// downloadSource is the URL of web-download.
func downloadSource(call importCall) (contract.SourceSpec, error) {
	if call.Method.URI == "" {
		return contract.SourceSpec{}, badField("method.uri", "", "%s needs a URI", methodDownload)
	}
	u, err := url.Parse(call.Method.URI)
	if err != nil || !strings.EqualFold(u.Scheme, "http") && !strings.EqualFold(u.Scheme, "https") {
		// Files of the server are for POST /v1/imports, which says so by name.
		return contract.SourceSpec{}, withStatus(http.StatusBadRequest, fieldError(errcode.SourceScheme, "method.uri", "", "%s takes http and https URIs", methodDownload))
	}
	return contract.SourceSpec{URL: call.Method.URI}, nil
}

// stagedSource is what was staged for an image. A call that comes once more while its
// import runs means that import.
func (a *api) stagedSource(r *http.Request, img metadata.Image) (contract.SourceSpec, string, error) {
	up, err := a.Catalogue.StagedUpload(r.Context(), img.ID)
	if err != nil {
		return contract.SourceSpec{}, "", err
	}
	return contract.SourceSpec{URL: contract.StagedURL(up.Place, up.ID)}, up.ID, nil
}

// serviceInterfaces are those of a cloud's list of services.
var serviceInterfaces = []string{"public", "internal", "admin"}

// regionSource is an image of another cloud.
func (a *api) regionSource(call importCall) (contract.SourceSpec, error) {
	m := call.Method
	id, err := uuid.Parse(m.ImageID)
	if err != nil || len(m.ImageID) != 36 {
		return contract.SourceSpec{}, badField("method.glance_image_id", m.ImageID, "an image's id is a UUID")
	}
	if err := checkOneOf("method.glance_service_interface", m.Interface, serviceInterfaces); err != nil {
		return contract.SourceSpec{}, err
	}
	service := m.Interface
	if service == "" {
		service = serviceInterfaces[0]
	}
	return a.inRegion("method.glance_region", m.Region, id.String(), service)
}

// inRegion is an image of a region, named in a field, that the operator has named too.
func (a *api) inRegion(field, name, image, service string) (contract.SourceSpec, error) {
	region, ok := a.Regions[name]
	if !ok {
		return contract.SourceSpec{}, badField(field, name, "the operator has named no such region")
	}
	return region.source(name, image, service), nil
}
