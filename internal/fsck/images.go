package fsck

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// readBuffer is how much of an object is in memory while it is read back, bytes.
const readBuffer = 1 << 20

// images looks at every image that is not deleted.
func (r *run) images(ctx context.Context) error {
	all, err := r.Catalogue.Images(ctx, metadata.ImageFilter{})
	if err != nil {
		return err
	}
	r.figs.ImagesTotal = len(all)
	for _, img := range all {
		if r.p.Read && img.Size != nil {
			r.figs.BytesTotal += *img.Size * int64(len(img.Locations()))
		}
	}
	done := int64(0)
	for _, img := range all {
		if err := r.image(ctx, img); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.figs.Images++
		if r.p.Read && img.Size != nil {
			done += *img.Size * int64(len(img.Locations()))
			r.figs.Bytes = done // what could not be read included
		}
		if err := r.progress(); err != nil {
			return err
		}
	}
	return nil
}

// whole reports whether an image in the status must have its bytes.
func whole(s metadata.ImageStatus) bool {
	return s == metadata.ImageActive || s == metadata.ImageDeactivated || s == metadata.ImagePendingDelete
}

func (r *run) image(ctx context.Context, img metadata.Image) error {
	switch img.Status {
	case metadata.ImageImporting, metadata.ImageSaving, metadata.ImageUploading:
		return r.busy(ctx, img)
	}
	if !whole(img.Status) {
		return nil
	}
	places := img.Locations()
	if len(places) == 0 {
		places = []metadata.Location{{Store: img.Store}}
	}
	var bad []contract.Difference
	for _, at := range places {
		d, err := r.object(ctx, img, at)
		if err != nil {
			return err
		}
		if d == nil {
			continue
		}
		d.Store, d.ImageID = at.Store, img.ID
		if d.Name = at.Key; d.Name == "" {
			d.Name = img.ID
		}
		bad = append(bad, *d)
	}
	if len(bad) == 0 {
		return nil
	}
	// Deleted, or imported again, in between: then it is none of ours.
	again, err := r.Catalogue.Image(ctx, img.ID)
	if errcode.Of(err) == errcode.NotFound || err == nil && !whole(again.Status) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, d := range bad {
		if len(img.Locations()) > 0 && !again.Names(metadata.Location{Store: d.Store, Key: d.Name}) {
			continue
		}
		if len(bad) < len(places) {
			r.dropCopy(ctx, &d)
		} else {
			r.withhold(ctx, again, &d)
		}
		if err := r.diff(d); err != nil {
			return err
		}
	}
	return nil
}

// dropCopy takes an image out of a store that has not its bytes, while another one
// has. What lies there is then nobody's.
func (r *run) dropCopy(ctx context.Context, d *contract.Difference) {
	if d.Kind == contract.DiffUnreadable || d.Kind == contract.DiffStoreUnknown {
		return
	}
	if !r.p.Repair {
		d.Remedy = "the image can be read from another store; with --repair this copy is given up, and can be made again"
		return
	}
	loc, err := r.Catalogue.RemoveCopy(ctx, d.ImageID, d.Store)
	if err == nil && loc.Key != "" { // else another image names it, too, and has its own line
		err = r.Stores[loc.Store].Delete(ctx, loc.Key)
	}
	d.Repaired = err == nil
	d.Remedy = outcome(err, "this copy is given up; copy the image again from where it is whole")
}

// withhold keeps users from an image whose bytes are not right. They cannot be
// made right here, and what is in the store may still be of use to somebody.
func (r *run) withhold(ctx context.Context, img metadata.Image, d *contract.Difference) {
	if d.Remedy != "" {
		return
	}
	if img.Status != metadata.ImageActive {
		d.Remedy = "it is " + string(img.Status) + " already: put its bytes back, or delete it and import it again"
		return
	}
	if !r.p.Repair {
		d.Remedy = "put the bytes back; with --repair the image is deactivated, so that nobody gets wrong bytes"
		return
	}
	_, err := r.Catalogue.UpdateImage(ctx, img.ID, func(m *metadata.Image) error {
		if m.Key != img.Key || m.Status != metadata.ImageActive {
			return errcode.New(errcode.Conflict, "image %s has changed meanwhile", m.ID)
		}
		m.Status = metadata.ImageDeactivated
		return nil
	})
	d.Repaired = err == nil
	d.Remedy = outcome(err, "the image is deactivated: put its bytes back, or delete it and import it again")
}

// object compares an image with its object in one place; nil if they agree.
func (r *run) object(ctx context.Context, img metadata.Image, at metadata.Location) (*contract.Difference, error) {
	if at.Key == "" || img.Size == nil {
		return &contract.Difference{Kind: contract.DiffObjectMissing, Message: "the image is " + string(img.Status) + " and names no object"}, nil
	}
	st, ok := r.Stores[at.Store]
	if !ok {
		return &contract.Difference{Kind: contract.DiffStoreUnknown, Message: fmt.Sprintf("the image lies in store %q, which the server does not know", at.Store),
			Remedy: "declare the store again, or delete the image"}, nil
	}
	o, err := st.Stat(ctx, at.Key)
	switch {
	case errcode.Of(err) == errcode.NotFound:
		return &contract.Difference{Kind: contract.DiffObjectMissing, Message: "the object is not in the store"}, nil
	case err != nil:
		return unreadable(ctx, err)
	case o.Size != *img.Size:
		return &contract.Difference{Kind: contract.DiffObjectSize, Message: fmt.Sprintf("the object has %d bytes, the image says %d", o.Size, *img.Size)}, nil
	case r.p.Read:
		return r.digest(ctx, img, at)
	}
	return nil, nil
}

func unreadable(ctx context.Context, err error) (*contract.Difference, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return &contract.Difference{Kind: contract.DiffUnreadable, Message: contract.ValueOf(err).Message, Remedy: "check the store, and run it again"}, nil
}

// digest reads an object back.
func (r *run) digest(ctx context.Context, img metadata.Image, at metadata.Location) (*contract.Difference, error) {
	h := newHash(img.HashAlgo)
	if h == nil || img.HashValue == "" {
		return nil, nil // nothing to compare with
	}
	body, err := r.Stores[at.Store].OpenRange(ctx, at.Key, 0, -1)
	if errcode.Of(err) == errcode.NotFound {
		return &contract.Difference{Kind: contract.DiffObjectMissing, Message: "the object is not in the store"}, nil
	}
	if err != nil {
		return unreadable(ctx, err)
	}
	defer body.Close()
	var told error
	n, err := io.CopyBuffer(h, readerFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if told = r.progress(); told != nil {
			return 0, told
		}
		n, err := body.Read(p)
		r.figs.Bytes += int64(n)
		return n, err
	}), make([]byte, readBuffer))
	switch {
	case told != nil:
		return nil, told
	case err != nil:
		return unreadable(ctx, err)
	case n != *img.Size:
		return &contract.Difference{Kind: contract.DiffObjectSize, Message: fmt.Sprintf("%d bytes were read back, the image says %d", n, *img.Size)}, nil
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != img.HashValue {
		return &contract.Difference{Kind: contract.DiffObjectDigest, Message: fmt.Sprintf("%s of the stored bytes is %s, the image says %s", img.HashAlgo, sum, img.HashValue)}, nil
	}
	return nil, nil
}

func newHash(algo string) hash.Hash {
	switch algo {
	case "sha256":
		return sha256.New()
	case "sha512":
		return sha512.New()
	}
	return nil
}

type readerFunc func([]byte) (int, error)

// Read calls the function.
func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// busy looks whether somebody works on an image that is being filled.
func (r *run) busy(ctx context.Context, img metadata.Image) error {
	if !r.old(img.UpdatedAt) {
		return nil
	}
	tasks, err := r.Catalogue.Tasks(ctx, metadata.TaskFilter{ImageID: img.ID, Unfinished: true, Limit: 1})
	if err != nil || len(tasks) > 0 {
		return err
	}
	uploads, err := r.Catalogue.Uploads(ctx)
	if err != nil || slices.ContainsFunc(uploads, func(u metadata.Upload) bool { return u.ImageID == img.ID }) {
		return err
	}
	changed := errors.New("changed meanwhile")
	d := contract.Difference{Kind: contract.DiffImage, Name: img.ID, ImageID: img.ID, Message: fmt.Sprintf("the image is %s, and neither a task nor an upload works on it", img.Status),
		Remedy: mending(false, "it is queued again")}
	if r.p.Repair {
		_, err := r.Catalogue.UpdateImage(ctx, img.ID, func(m *metadata.Image) error {
			if m.Status != img.Status || !m.UpdatedAt.Equal(img.UpdatedAt) {
				return changed
			}
			m.Status = metadata.ImageQueued
			return nil
		})
		if errors.Is(err, changed) {
			return nil
		}
		d.Repaired, d.Remedy = err == nil, outcome(err, "the image is queued again")
	}
	return r.diff(d)
}
