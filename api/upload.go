package api

import (
	"context"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/policy"
	"ingest/metadata"
)

// Uploads takes the bytes that clients send.
type Uploads interface {
	// Save keeps a body as the bytes of an image, as they are. reach is asked before
	// the bytes up to end are written. After an error nothing is left.
	Save(ctx context.Context, u contract.Upload, body io.Reader, reach func(end int64) error) (contract.Uploaded, error)
	// Stage keeps a body for an import, and returns its length.
	Stage(ctx context.Context, u contract.Upload, body io.Reader, reach func(end int64) error) (int64, error)
	// Discard removes what Save or Stage has left. It is idempotent.
	Discard(ctx context.Context, u contract.Upload) error
	// StagedHere is the task queue of the workers that reach what Stage has kept.
	StagedHere() string
}

// UploadLimits bound uploads. Zero fields mean those of StandardUploadLimits.
type UploadLimits struct {
	Most       int64         // bytes of one upload; negative: any number
	PerProject int           // uploads of one project that are received at once; negative: any number
	Stall      time.Duration // in which a client has to send something
	Keep       time.Duration // between two signs that an upload is still received
}

// StandardUploadLimits returns the limits of a server that was not told others.
func StandardUploadLimits() UploadLimits {
	return UploadLimits{Most: 1 << 40, PerProject: 16, Stall: time.Minute, Keep: 10 * time.Second}
}

func (l UploadLimits) filled() UploadLimits {
	std := StandardUploadLimits()
	if l.Most == 0 {
		l.Most = std.Most
	}
	if l.PerProject == 0 {
		l.PerProject = std.PerProject
	}
	if l.Stall == 0 {
		l.Stall = std.Stall
	}
	if l.Keep == 0 {
		l.Keep = std.Keep
	}
	return l
}

// cleanupTime bounds what is done behind a request whose client has gone.
const cleanupTime = 30 * time.Second

// uploadFile takes the bytes of an image, and makes it active.
func (a *api) uploadFile(w http.ResponseWriter, r *http.Request) error {
	return a.takeBody(w, r, func(conn *http.ResponseController) error {
		img, u, err := a.askedUpload(r)
		if err != nil {
			return err
		}
		if u.Store, err = a.uploadStore(r); err != nil {
			return err
		}
		if img.Status == metadata.ImageQueued && (img.DiskFormat == "" || img.ContainerFormat == "") {
			return badField("disk_format", img.DiskFormat, "image %s needs its disk_format and container_format set before the upload", img.ID)
		}
		req, err := a.uploadRequest(r, img, u)
		if err != nil {
			return err
		}
		if err := a.permit(req); err != nil {
			return err
		}
		return a.receive(r, conn, img, u, func(k *keptUpload, body io.Reader) error {
			out, err := a.Uploads.Save(k.ctx, u, body, k.reach)
			if err != nil {
				return unfit(err)
			}
			if err := a.permitFound(req, out); err != nil {
				return err
			}
			act, err := a.activation(k, img, u, req, out)
			if err == nil {
				_, err = a.Catalogue.FinishUpload(k.ctx, k.row, act)
			}
			return err
		})
	})
}

// stageFile takes the bytes of an import that is asked for next.
func (a *api) stageFile(w http.ResponseWriter, r *http.Request) error {
	return a.takeBody(w, r, func(conn *http.ResponseController) error {
		img, u, err := a.askedUpload(r)
		if err != nil {
			return err
		}
		if !slices.Contains(a.methods(), methodDirect) {
			return errcode.New(errcode.NotFound, "the import method %s is not enabled", methodDirect)
		}
		u.Stage = true
		req, err := a.uploadRequest(r, img, u)
		if err != nil {
			return err
		}
		if err := a.permit(req); err != nil {
			return err
		}
		return a.receive(r, conn, img, u, func(k *keptUpload, body io.Reader) error {
			n, err := a.Uploads.Stage(k.ctx, u, body, k.reach)
			if err != nil {
				return unfit(err)
			}
			return a.Catalogue.FinishStaging(k.ctx, k.row, n)
		})
	})
}

// askedUpload reads what a request says of the bytes that it brings.
func (a *api) askedUpload(r *http.Request) (metadata.Image, contract.Upload, error) {
	img, err := a.imageFor(r, "upload_image")
	if err != nil {
		return img, contract.Upload{}, err
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/octet-stream" {
		return img, contract.Upload{}, withStatus(http.StatusUnsupportedMediaType,
			badField("Content-Type", r.Header.Get("Content-Type"), "the bytes of an image are application/octet-stream"))
	}
	if a.Uploads == nil {
		return img, contract.Upload{}, errcode.New(errcode.NotFound, "this server takes no uploads")
	}
	u := contract.Upload{ID: uuid.NewString(), ImageID: img.ID, Format: img.DiskFormat, Container: img.ContainerFormat, Size: r.ContentLength, Most: max(0, a.UploadLimits.Most)}
	said := r.Header.Get("X-Openstack-Image-Size")
	if said == "" {
		return img, u, nil
	}
	n, err := parseOffset(said)
	if err != nil || u.Size >= 0 && u.Size != n {
		return img, u, badField("X-Openstack-Image-Size", said, "expected the number of bytes that are sent, here %d", u.Size)
	}
	u.Size = n
	return img, u, nil
}

// uploadStore is the store that an upload's bytes are kept in.
func (a *api) uploadStore(r *http.Request) (string, error) {
	name := r.Header.Get("X-Image-Meta-Store")
	if name == "" {
		name = a.DefaultStore
	}
	if !slices.Contains(a.Stores, name) {
		return "", badField("X-Image-Meta-Store", name, "there is no store of that name")
	}
	if slices.Contains(a.ReadOnly, name) {
		return "", fieldError(errcode.StoreReadOnly, "X-Image-Meta-Store", name, "the store is read from only, and takes no images")
	}
	return name, nil
}

// uploadRequest is an upload as the operator's policy judges it: an import from the
// client itself, with the roles that it has.
func (a *api) uploadRequest(r *http.Request, img metadata.Image, u contract.Upload) (contract.ImportRequest, error) {
	req := contract.ImportRequest{
		ImageID: img.ID, Owner: img.Owner,
		Source: contract.SourceSpec{URL: contract.StagedURL("client", u.ID), Format: img.DiskFormat},
		Target: contract.TargetSpec{Store: u.Store},
	}
	return req, a.sign(r, &req)
}

// permitFound asks the operator's policy about what an upload has been found to be.
func (a *api) permitFound(req contract.ImportRequest, out contract.Uploaded) error {
	if a.Policy == nil || a.Policy() == nil {
		return nil
	}
	v := policy.Validation{
		Request: req, Fetched: contract.Fetched{Size: out.Size}, Target: contract.TargetSpec{Format: req.Source.Format, Store: out.Store},
		Detected: contract.Detected{Format: req.Source.Format, Subformat: out.Subformat, VirtualSize: out.VirtualSize},
	}
	if out.Guest != nil {
		v.Facts = out.Guest.Properties
	}
	for _, f := range out.Findings {
		v.Findings = append(v.Findings, policy.Finding{Code: errcode.Code(f.Code), Message: f.Message})
	}
	return a.Policy().Validation(v).Err()
}

// unfit gives the refusal of an image, and a full disk, the status that Glance answers
// them with.
func unfit(err error) error {
	code := errcode.Of(err)
	if code == errcode.NoSpace {
		return withStatus(http.StatusRequestEntityTooLarge, err)
	}
	if strings.HasPrefix(string(code), "IMG_") && code != errcode.SourceTooLarge && errcode.Lookup(code).HTTPStatus < 500 {
		return withStatus(http.StatusUnsupportedMediaType, err)
	}
	return err
}

// receive takes a body while the catalogue knows of it. After an error the image is
// queued again, and nothing of the body is left.
func (a *api) receive(r *http.Request, conn *http.ResponseController, img metadata.Image, u contract.Upload, take func(*keptUpload, io.Reader) error) error {
	leave, err := a.uploading.enter(img.Owner, a.UploadLimits.PerProject)
	if err != nil {
		return err
	}
	defer leave()
	row := metadata.Upload{ID: u.ID, ImageID: u.ImageID, Staged: u.Stage, Place: u.Store, Key: u.Key(), Bytes: max(0, u.Size)}
	if u.Stage {
		row.Place, row.Key = a.Uploads.StagedHere(), ""
	}
	var taken metadata.Image
	err = a.promise(r.Context(), row, func(row metadata.Upload) (err error) {
		taken, err = a.Catalogue.BeginUpload(r.Context(), row)
		return err
	})
	if err != nil {
		return unfit(err)
	}
	// A read that fails ends the request's context before it says why; and bytes that are
	// all here are kept although their client does not wait for the answer.
	k := keepUpload(context.WithoutCancel(r.Context()), a, row)
	defer k.stop(nil)
	body := &steadyBody{Reader: r.Body, ctx: k.ctx, stall: a.UploadLimits.Stall, conn: conn}
	if err = sameFormats(img, taken); err == nil {
		err = take(k, body)
	}
	if err == nil {
		return nil
	}
	if cause := context.Cause(k.ctx); cause != nil {
		err = cause // why it was given up, and not what came of it
	}
	k.stop(nil)
	if a.giveUp(r, row, u) {
		return nil // its end was recorded, and the answer to that was lost
	}
	return err
}

// sameFormats refuses an image that was given other formats since the request read it:
// its bytes would be checked as what they are no longer said to be.
func sameFormats(read, taken metadata.Image) error {
	if read.DiskFormat == taken.DiskFormat && read.ContainerFormat == taken.ContainerFormat {
		return nil
	}
	return errcode.New(errcode.Conflict, "the formats of image %s were changed as its upload began; send it again", taken.ID).
		With(errcode.Evidence{Structure: "image", Field: "disk_format", Value: taken.DiskFormat, Limit: read.DiskFormat})
}

// giveUp gives the image of a failed upload back, and removes the bytes. First in the
// catalogue: a database whose answer was lost may have recorded that the upload has
// ended well, and its bytes are then the image's, or an import's; kept says so. What
// cannot be removed now is found by who sweeps.
func (a *api) giveUp(r *http.Request, row metadata.Upload, u contract.Upload) (kept bool) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(r.Context()), cleanupTime)
	defer stop()
	given, err := a.Catalogue.AbandonUpload(ctx, row)
	if err == nil && !given {
		kept, err = a.Catalogue.UploadKept(ctx, row)
	}
	if err == nil && !kept {
		err = a.Uploads.Discard(ctx, u)
	}
	if err != nil {
		a.Log.Warn().Err(err).Str("image", row.ImageID).Msg("give up an upload, left to the reconciler")
	}
	return kept
}
