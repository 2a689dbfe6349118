package pipeline_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/pipeline"
	httpsource "ingest/sources/http"
	"ingest/stores/fs"
	httpstore "ingest/stores/http"
)

// withMirror adds a store that is a web server of a folder store's objects, and
// returns the folder of those objects.
func withMirror(t *testing.T, p *pipeline.Pipeline) string {
	t.Helper()
	dir := t.TempDir()
	first, err := fs.Open(dir, "first")
	if err != nil {
		t.Fatal(err)
	}
	objects := filepath.Join(dir, "objects")
	srv := httptest.NewServer(http.FileServer(http.Dir(objects)))
	t.Cleanup(srv.Close)
	client := httpsource.New(httpsource.Options{AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, MaxRedirects: -1, Retries: -1})
	p.Stores["first"], p.Stores["mirror"] = first, httpstore.New("mirror", srv.URL, "", client)
	return objects
}

func TestMirrorsObjectsAreTakenAsCopies(t *testing.T) {
	data := sparse(t)
	p := several(t)
	objects := withMirror(t, p)
	src := keepObject(t, p.Stores["first"], data)
	far := keepObject(t, p.Stores["main"], data) // the mirror has not this key
	got, err := p.Copy(t.Context(), copyOf(data, "mirror", far, src), nil)
	if err != nil || got != (contract.Stored{Store: "mirror", Key: src.Key, Location: "store://mirror/" + src.Key}) {
		t.Fatalf("%+v, %v", got, err)
	}
	// From there it can be copied on, and takes over where another place fails.
	for _, from := range [][]contract.Stored{{got}, {{Store: "main", Key: got.Key}, got}} {
		c := copyOf(data, "second", from...)
		if _, err := p.Copy(t.Context(), c, nil); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(content(t, p.Stores["second"], c.Key), data) {
			t.Error("other bytes")
		}
	}
	if all, err := p.CopyTargets(contract.StoresSpec{AllStores: true}); err != nil || slices.Contains(all, "mirror") {
		t.Errorf("all stores: %v, %v", all, err)
	}
	if _, err := p.Copy(t.Context(), copyOf(data, "mirror", far), nil); errcode.Of(err) != errcode.NotFound {
		t.Errorf("an object that the mirror has not: %v", err)
	}
	path := filepath.Join(objects, src.Key)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range [][]byte{data[:len(data)-1], append(bytes.Clone(data[:len(data)-1]), data[len(data)-1]^1)} {
		if err := os.WriteFile(path, wrong, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Copy(t.Context(), copyOf(data, "mirror", src), nil); errcode.Of(err) != errcode.VerifyMismatch {
			t.Errorf("other bytes: %v", err)
		}
	}
}
