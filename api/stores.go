package api

import (
	"net/http"
	"slices"
	"strings"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// Import methods, by Glance's names.
const (
	methodDirect   = "glance-direct"   // of what was staged
	methodDownload = "web-download"    // of a URL
	methodGlance   = "glance-download" // of an image of another cloud
)

// methods lists the import methods that are enabled and that the server can do, and so
// what clients are told in the header of every created image. Copying needs another
// store.
func (a *api) methods() []string {
	can := []string{methodDownload}
	if a.Uploads != nil {
		can = append([]string{methodDirect}, can...)
	}
	if len(a.Regions) > 0 {
		can = append(can, methodGlance)
	}
	if len(a.Stores) > 1 {
		can = append(can, contract.MethodCopy)
	}
	if a.Methods == nil {
		return can
	}
	return slices.DeleteFunc(can, func(m string) bool { return !slices.Contains(a.Methods, m) })
}

// storeInfo is a store as Glance lists it.
type storeInfo struct {
	ID      string `json:"id"`
	Default string `json:"default,omitempty"` // "true"
	// ReadOnly is "true" for a store that images can only be copied to, in name.
	ReadOnly string `json:"read-only,omitempty"`
}

// A StoreDetail is how a store is set up, for those who run the server.
type StoreDetail struct {
	Type       string         // in Glance's words: "file", "s3", "http"
	Weight     int            // those of greater weight are read first
	Properties map[string]any // never a secret
}

// storesInfo lists the stores, the default one first. A server with one store
// answers as Glance does: it knows no stores.
func (a *api) storesInfo(w http.ResponseWriter, _ *http.Request) error {
	out, err := a.storeList()
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"stores": out})
	return nil
}

func (a *api) storeList() ([]storeInfo, error) {
	if len(a.Stores) < 2 {
		return nil, errcode.New(errcode.NotFound, "this server has one store only")
	}
	out := []storeInfo{}
	for _, name := range a.Stores {
		if name == a.DefaultStore {
			out = append(out, storeInfo{ID: name, Default: "true"})
		}
	}
	for _, name := range a.Stores {
		if name != a.DefaultStore {
			info := storeInfo{ID: name}
			if slices.Contains(a.ReadOnly, name) {
				info.ReadOnly = "true"
			}
			out = append(out, info)
		}
	}
	return out, nil
}

// storesDetail lists the stores with how they are set up.
func (a *api) storesDetail(w http.ResponseWriter, r *http.Request) error {
	if err := a.mayAct(r, "stores_info_detail"); err != nil {
		return err
	}
	list, err := a.storeList()
	if err != nil {
		return err
	}
	type detailed struct {
		storeInfo
		Type       string         `json:"type"`
		Weight     int            `json:"weight"`
		Properties map[string]any `json:"properties"`
	}
	out := make([]detailed, 0, len(list))
	for _, info := range list {
		d := a.StoreDetails[info.ID]
		if d.Properties == nil {
			d.Properties = map[string]any{}
		}
		out = append(out, detailed{info, d.Type, d.Weight, d.Properties})
	}
	writeJSON(w, http.StatusOK, map[string]any{"stores": out})
	return nil
}

// deleteFromStore takes an image out of one store.
func (a *api) deleteFromStore(w http.ResponseWriter, r *http.Request) error {
	store := r.PathValue("store")
	if !slices.Contains(a.Stores, store) {
		return notFound("store", store)
	}
	img, target, err := a.targetedImage(r, "delete_image_location")
	if err != nil {
		return err
	}
	if img.Protected {
		return errcode.New(errcode.Forbidden, "image %s is protected", img.ID)
	}
	if err := a.takeFrom(r, img.ID, store, target); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// askedStores reads the stores of Glance's import call: its members, or the header
// that names one.
func (a *api) askedStores(r *http.Request, call importCall) (contract.StoresSpec, error) {
	s := contract.StoresSpec{Stores: call.Stores, AllStores: call.AllStores, AllStoresMustSucceed: call.AllStoresMustSucceed}
	if h := r.Header.Get("X-Image-Meta-Store"); h != "" {
		if call.AllStores {
			return s, badField("X-Image-Meta-Store", h, "all_stores is set, too")
		}
		if len(s.Stores) == 0 {
			s.Stores = strings.Split(h, ",")
		}
	}
	return s, a.checkStores(s)
}

// checkStores refuses stores that there are not.
func (a *api) checkStores(s contract.StoresSpec) error {
	for _, name := range s.Stores {
		if err := a.checkStore("stores", name); err != nil {
			return err
		}
	}
	return nil
}

// checkWritable refuses imports into stores that take no bytes.
func (a *api) checkWritable(req contract.ImportRequest) error {
	for _, name := range append([]string{req.Target.Store}, req.Stores...) {
		if slices.Contains(a.ReadOnly, name) {
			return fieldError(errcode.StoreReadOnly, "store", name, "the store is read from only, and takes no images")
		}
	}
	return nil
}

// copyRequest writes Glance's call with the method copy-image as a request.
func (a *api) copyRequest(r *http.Request, img metadata.Image, call importCall) (contract.ImportRequest, error) {
	s, err := a.askedStores(r, call)
	if err != nil {
		return contract.ImportRequest{}, err
	}
	req := contract.CopyRequest{ImageID: img.ID, Owner: img.Owner, IdempotencyKey: r.Header.Get("Idempotency-Key"), StoresSpec: s}
	if err := req.Check(); err != nil {
		return req.Import(), err
	}
	imp := req.Import()
	if err := a.sign(r, &imp); err != nil {
		return imp, err
	}
	return imp, a.permitCopy(imp)
}

// notInternal are an image's properties without those that tasks write.
func notInternal(props map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range props {
		if k != metadata.PropImportingStores && k != metadata.PropFailedStores {
			out[k] = v
		}
	}
	return out
}
