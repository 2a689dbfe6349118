package apidiff_test

import (
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"

	"ingest/api"
	"ingest/internal/access"
	"ingest/internal/apidiff"
	"ingest/internal/glancetest"
	"ingest/metadata"
	"ingest/metadata/sqlite"
)

// ours starts the API over a catalogue of its own. It believes what requests say of
// themselves, and judges them by the rules of a server that does not.
func ours(t *testing.T) *apidiff.Service {
	t.Helper()
	repo, err := sqlite.Open(filepath.Join(t.TempDir(), "catalogue.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	rules := access.Standard()
	server := httptest.NewServer(api.New(api.Deps{
		Catalogue: metadata.New(repo), Stores: []string{"local", "second"}, DefaultStore: "local", Log: zerolog.Nop(),
		Access: func() *access.Rules { return rules },
	}))
	t.Cleanup(server.Close)
	return &apidiff.Service{Name: "ingest", URL: server.URL}
}

// Who makes the requests.
var (
	admin   = apidiff.Caller{Project: "acme", User: "ann", Roles: "admin,member,reader"}
	member  = apidiff.Caller{Project: "acme", User: "bob", Roles: "member,reader"}
	foreign = apidiff.Caller{Project: "other", User: "eve", Roles: "member,reader"}
)

func TestMetadefs(t *testing.T) {
	glance := glancetest.StartTrusting(t)
	left := &apidiff.Service{Name: "Glance", URL: glance.Endpoint}
	rep, err := apidiff.Replay(left, ours(t), metadefRequests(), metadefDifferences())
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Unexpected)+len(rep.Unseen) > 0 {
		t.Errorf("the answers differ: %v", rep)
	}
	if rep.Requests < 150 {
		t.Errorf("only %d requests were compared", rep.Requests)
	}
	t.Logf("%d requests, %d intended differences", rep.Requests, rep.Expected)
}
