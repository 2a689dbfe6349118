package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"ingest/cache"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// cached is Blobs that reads an image's bytes from the cache, where it can.
type cached struct {
	Blobs
	cache *cache.Cache
	img   metadata.Image
}

// through returns Blobs for the bytes of one image: the stores, behind the cache if
// there is one.
func (a *api) through(img metadata.Image) Blobs {
	if a.Cache == nil {
		return a.Blobs
	}
	return cached{a.Blobs, a.Cache, img}
}

// OpenRange implements Blobs. An error of code errcode.ChecksumMismatch says that
// what was read was not the image.
func (c cached) OpenRange(ctx context.Context, store, key string, off, n int64) (io.ReadCloser, error) {
	return c.cache.Reader(ctx, cacheObject(c.img, metadata.Location{Store: store, Key: key}), off, n)
}

func cacheObject(img metadata.Image, at metadata.Location) cache.Object {
	return cache.Object{Store: at.Store, Key: at.Key, ImageID: img.ID, Size: *img.Size, Algo: img.HashAlgo, Hex: img.HashValue}
}

// uncache forgets an object that is about to be removed.
func (a *api) uncache(loc metadata.Location) {
	if a.Cache != nil {
		a.Cache.Drop(loc.Store, loc.Key)
	}
}

// withCache answers 403 to whom a rule does not let near the cache, and 404, as Glance
// does, if there is none.
func (a *api) withCache(r *http.Request, rule string) error {
	if err := a.mayAct(r, rule); err != nil {
		return err
	}
	if a.Cache == nil {
		return errcode.New(errcode.NotFound, "this server keeps no image cache; the operator turns it on with ingest serve --cache-dir")
	}
	return nil
}

// cachedImage is an entry as Glance shows it. Times are seconds of Unix time.
type cachedImage struct {
	ImageID      string  `json:"image_id"`
	Hits         int64   `json:"hits"`
	LastAccessed float64 `json:"last_accessed"`
	LastModified float64 `json:"last_modified"`
	Size         int64   `json:"size"`
}

func unixTime(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// cachedImages lists what is cached and queued, in Glance's form.
func (a *api) cachedImages(w http.ResponseWriter, r *http.Request) error {
	if err := a.withCache(r, "cache_list"); err != nil {
		return err
	}
	v := a.Cache.View()
	cached, waiting := make([]cachedImage, 0, len(v.Entries)), make([]string, 0, len(v.Queue))
	for _, e := range v.Entries {
		cached = append(cached, cachedImage{e.ImageID, e.Hits, unixTime(e.Accessed), unixTime(e.Filled), e.Size})
	}
	for _, q := range v.Queue {
		waiting = append(waiting, q.ImageID)
	}
	writeJSON(w, http.StatusOK, map[string]any{"cached_images": cached, "queued_images": waiting})
	return nil
}

// cacheView answers with all that is known of the cache.
func (a *api) cacheView(w http.ResponseWriter, r *http.Request) error {
	if err := a.withCache(r, "ingest:cache_view"); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, a.Cache.View())
	return nil
}

// queueCached has an image fetched in the background.
func (a *api) queueCached(w http.ResponseWriter, r *http.Request) error {
	if err := a.withCache(r, "cache_image"); err != nil {
		return err
	}
	img, err := a.imageFor(r, "get_image")
	if err != nil {
		return err
	}
	if img.Status != metadata.ImageActive || img.Key == "" || img.Size == nil {
		return badField("image_id", img.ID, "the image is %s; only active ones are cached", img.Status)
	}
	if err := a.Cache.Queue(cacheObject(img, a.readOrder(r, img)[0])); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// deleteCached removes an image from cache and queue. One that is in neither is
// not found only if there is no such image at all.
func (a *api) deleteCached(w http.ResponseWriter, r *http.Request) error {
	if err := a.withCache(r, "cache_delete"); err != nil {
		return err
	}
	if !a.Cache.DropImage(r.PathValue("id")) {
		if _, err := a.imageFor(r, "get_image"); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// clearTargetHeader says which of cache and queue is cleared; both without it.
const clearTargetHeader = "X-Image-Cache-Clear-Target"

func (a *api) clearCache(w http.ResponseWriter, r *http.Request) error {
	if err := a.withCache(r, "cache_delete"); err != nil {
		return err
	}
	target := r.Header.Get(clearTargetHeader)
	if err := checkOneOf(clearTargetHeader, target, []string{"cache", "queue"}); err != nil {
		return err
	}
	if target != "cache" {
		a.Cache.ClearQueue()
	}
	if target != "queue" {
		a.Cache.Clear()
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// cacheAction prunes or cleans the cache: POST /v2/cache/prune and /v2/cache/clean.
func (a *api) cacheAction(w http.ResponseWriter, r *http.Request) error {
	if err := a.withCache(r, "cache_delete"); err != nil {
		return err
	}
	switch action := r.PathValue("id"); action {
	case "prune":
		return a.pruneCache(w, r)
	case "clean":
		return a.cleanCache(w, r)
	default:
		return errcode.New(errcode.NotFound, "there is no path %q", r.URL.Path)
	}
}

// pruneCache removes what was not read for longest until max_bytes are left, by
// default as many as the cache may have.
func (a *api) pruneCache(w http.ResponseWriter, r *http.Request) error {
	most := a.Cache.View().MaxBytes
	if s := r.URL.Query().Get("max_bytes"); s != "" {
		var err error
		if most, err = strconv.ParseInt(s, 10, 64); err != nil || most < 0 {
			return badField("max_bytes", s, "expected a number of bytes")
		}
	}
	writeJSON(w, http.StatusOK, a.Cache.Prune(most))
	return nil
}

// cleanCache removes what is of no use; with verify=true it reads every copy.
func (a *api) cleanCache(w http.ResponseWriter, r *http.Request) error {
	verify := r.URL.Query().Get("verify")
	if err := checkOneOf("verify", verify, []string{"true", "false"}); err != nil {
		return err
	}
	out, err := a.Cache.Clean(r.Context(), false)
	if err != nil {
		return err
	}
	if verify != "true" {
		writeJSON(w, http.StatusOK, out)
		return nil
	}
	// Reading everything may take longer than a client waits for an answer's head.
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	found, err := a.Cache.Clean(r.Context(), true)
	if err != nil {
		a.Log.Warn().Err(err).Msg("the cache could not be verified to its end")
		panic(http.ErrAbortHandler) // what was sent is cut short
	}
	_ = json.NewEncoder(w).Encode(out.Plus(found))
	return nil
}
