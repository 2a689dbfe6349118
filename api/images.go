package api

import (
	"net/http"
	"strings"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/metadata"
)

// imageOf writes an image as clients see it.
func imageOf(m metadata.Image) wire.Image {
	return wire.Image{
		ID: m.ID, Name: m.Name, Status: string(m.Status), Visibility: m.Visibility, Owner: m.Owner,
		DiskFormat: m.DiskFormat, ContainerFormat: m.ContainerFormat, Protected: m.Protected, Hidden: m.Hidden,
		Size: m.Size, VirtualSize: m.VirtualSize, Checksum: m.Checksum,
		HashAlgo: m.HashAlgo, HashValue: m.HashValue, ContentDigest: m.ContentDigest, Stores: storeList(m),
		MinDisk: m.MinDisk, MinRAM: m.MinRAM, Tags: m.Tags, Properties: m.Properties,
		CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt,
	}
}

// storeList names the stores that have the image, the first one first.
func storeList(m metadata.Image) string {
	locs := m.Locations()
	if len(locs) == 0 {
		return m.Store
	}
	names := make([]string, 0, len(locs))
	for _, loc := range locs {
		names = append(names, loc.Store)
	}
	return strings.Join(names, ",")
}

func (a *api) showImage(w http.ResponseWriter, r *http.Request) error {
	img, err := a.imageFor(r, "get_image")
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, a.show(r, img))
	return nil
}

func (a *api) listImages(w http.ResponseWriter, r *http.Request) error {
	if err := a.mayAct(r, "get_images"); err != nil {
		return err
	}
	p, err := parsePage(r.URL.Query(), imageSortKeys)
	if err != nil {
		return err
	}
	f, err := imageFilter(r.URL.Query())
	if err != nil {
		return err
	}
	f.Seen, f.Sort, f.Marker, f.Limit = a.seenIn(r), p.imageOrders(), p.marker, p.limit+1 // one more tells that there is a next page
	var images []metadata.Image
	if a.mayFilter(r, f) {
		if images, err = a.Catalogue.Images(r.Context(), f); err != nil {
			return err
		}
	}
	more := len(images) > p.limit && p.limit > 0
	images = images[:min(len(images), p.limit)]
	out := wire.ImageList{Images: make([]wire.Image, 0, len(images)), Schema: "/v2/schemas/images", First: firstURL(r)}
	for _, m := range images {
		// The list holds another project's shared image because it is shared with this one.
		invited := m.Visibility == metadata.VisibilityShared && m.Owner != f.Seen.Project && !f.Seen.All
		if a.sees(r, m, targetOf(r, m, invited)) {
			out.Images = append(out.Images, a.show(r, m))
		}
	}
	if more {
		out.Next = nextURL(r, images[len(images)-1].ID)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// deleteImage marks the image as deleted, and then stops what works on it and
// removes its bytes. After a crash in between, the import ends by itself when it
// would activate the image, and the reaper removes what nobody names.
func (a *api) deleteImage(w http.ResponseWriter, r *http.Request) error {
	img, target, err := a.targetedImage(r, "delete_image")
	if err != nil {
		return err
	}
	busy, err := a.Catalogue.Tasks(r.Context(), metadata.TaskFilter{ImageID: img.ID, Unfinished: true})
	if err != nil {
		return err
	}
	staged, stagedErr := a.Catalogue.StagedUpload(r.Context(), img.ID)
	gone, err := a.Catalogue.DeleteImage(r.Context(), img.ID, a.still(r, "delete_image", target))
	if err != nil {
		return err
	}
	if stagedErr == nil && len(busy) == 0 && a.Uploads != nil {
		a.giveUp(r, staged, contract.Upload{ID: staged.ID, ImageID: img.ID, Stage: true})
	}
	for _, t := range busy {
		if err := a.stop(r.Context(), t); err != nil {
			a.Log.Warn().Err(err).Str("task", t.ID).Msg("cancel the import of a deleted image")
		}
	}
	for _, loc := range gone {
		a.uncache(loc)
		if err := a.Blobs.Delete(r.Context(), loc.Store, loc.Key); err != nil {
			a.Log.Warn().Err(err).Str("image", img.ID).Str("store", loc.Store).Msg("remove the bytes of a deleted image")
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
