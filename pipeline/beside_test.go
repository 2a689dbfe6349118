package pipeline_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/uuid"

	"ingest/internal/contract"
	"ingest/sources/sourcetest"
)

// Where a checksum file was led is told, as it is of the image.
func TestRedirectsOfChecksumFilesAreTold(t *testing.T) {
	content := sourcetest.Content(300_000, 55)
	var base string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/pub/SHA256SUMS":
			http.Redirect(w, r, "/else/where?token=secret", http.StatusFound)
		case "/else/where":
			fmt.Fprintf(w, "%x  disk.raw\n", sha256.Sum256(content))
		default:
			_, _ = w.Write(content)
		}
	}))
	defer srv.Close()
	base = srv.URL
	p := loopbackPipeline(t.TempDir())
	f := contract.FetchParams{TaskID: uuid.NewString(), Source: contract.SourceSpec{URL: base + "/pub/disk.raw", ChecksumFile: base + "/pub/SHA256SUMS", Format: "raw"}}
	got, err := p.Fetch(t.Context(), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{base + "/else/where"}; !slices.Equal(got.Beside, want) {
		t.Errorf("told of %q, want %q", got.Beside, want)
	}
}
