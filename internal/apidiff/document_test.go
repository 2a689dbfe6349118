package apidiff_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"

	"ingest/internal/apidiff"
)

var update = flag.Bool("update", false, "write docs/glance-differences.md anew")

const differencesPage = "../../docs/glance-differences.md"

const differencesText = `# Differences from Glance

<!-- Generated from internal/apidiff by: go test ./internal/apidiff -run TestDifferencesPage -update -->

%d requests about images are replayed at Debian's Glance 25.1 and at ingest by TestGlanceDifferences (package e2e), with the newer policies of Glance
and the built-in rules of ingest, two stores, a cache, and SHA-512 and MD5. Statuses, the headers that clients go by, and bodies are compared; ids, times and the words of refusals are not. All that differs is
listed here; a difference that is not listed, and one that is and does not show, both fail the test. Who may do what is compared in
[access.md](access.md#differences-from-glance), metadata definitions and schemas in [metadefs.md](metadefs.md).

In a request ` + "`*`" + ` stands for anything and ` + "`${name}`" + ` for the id of an image that an earlier request has made; places in bodies are written as
` + "`$.images[0].name`" + `.

%s
## Locations

%d requests that change where the bytes of images lie are replayed by TestLocationDifferences, with ` + "`show_multiple_locations`" + ` at both, and a web server as a store.

%s`

func TestDifferencesPage(t *testing.T) {
	want := fmt.Sprintf(differencesText, len(apidiff.ImageRequests()), apidiff.Document(apidiff.ImageDifferences()),
		len(apidiff.LocationRequests()), apidiff.Document(apidiff.LocationDifferences()))
	if *update {
		if err := os.WriteFile(differencesPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(differencesPage)
	if err != nil || string(got) != want {
		t.Errorf("docs/glance-differences.md is not what internal/apidiff says (%v): run this test with -update", err)
	}
}

// TestImageRequests keeps the list of requests one that differences can be told from.
func TestImageRequests(t *testing.T) {
	titles := map[string]bool{}
	for _, r := range slices.Concat(apidiff.ImageRequests(), apidiff.LocationRequests()) {
		if titles[r.Title()] {
			t.Errorf("two requests are called %q", r.Title())
		}
		titles[r.Title()] = true
	}
	if len(titles) < 150 {
		t.Errorf("there are only %d requests", len(titles))
	}
}
