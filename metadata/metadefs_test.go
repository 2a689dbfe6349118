package metadata_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/metadata/sqlite"
)

// TestMetadefsAtOnce has many make, change and load the same things: each name is taken
// once, and no definition is lost.
func TestMetadefsAtOnce(t *testing.T) {
	repo, err := sqlite.Open(filepath.Join(t.TempDir(), "catalogue.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	cat := metadata.New(repo)
	const n = 16
	var mu sync.Mutex
	made := map[string]int{}
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			_, err := cat.CreateNamespace(t.Context(), metadata.WholeNamespace{
				Namespace:    metadata.Namespace{Name: "N", Owner: "o"},
				Associations: []metadata.Association{{ResourceType: "T"}},
				Definitions:  []metadata.Definition{{Kind: metadata.TagDefinition, Name: "t"}},
			})
			mu.Lock()
			made[string(errcode.Of(err))]++
			mu.Unlock()
			outcome, err := cat.LoadNamespace(t.Context(), metadata.WholeNamespace{
				Namespace:   metadata.Namespace{Name: "N"},
				Definitions: []metadata.Definition{{Kind: metadata.TagDefinition, Name: fmt.Sprint("tag ", i)}},
			}, metadata.LoadMerge)
			if err != nil || outcome != metadata.LoadMerged {
				t.Errorf("load %d: %s, %v", i, outcome, err)
			}
		})
	}
	all.Wait()
	if made[""] != 1 || made[string(errcode.Conflict)] != n-1 {
		t.Errorf("namespaces made: %v", made)
	}
	ns, err := cat.Namespace(t.Context(), "N")
	if err != nil {
		t.Fatal(err)
	}
	w, err := cat.WholeNamespace(t.Context(), ns.ID)
	if err != nil || len(w.Definitions) != n+1 || len(w.Associations) != 1 {
		t.Errorf("%d definitions, %d associations, %v", len(w.Definitions), len(w.Associations), err)
	}
}

// TestProtectedNamespace takes nothing from it, and leaves it what it was.
func TestProtectedNamespace(t *testing.T) {
	repo, err := sqlite.Open(sqlite.Memory)
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	cat, ctx := metadata.New(repo), t.Context()
	w, err := cat.CreateNamespace(ctx, metadata.WholeNamespace{
		Namespace: metadata.Namespace{Name: "N", Protected: true}, Associations: []metadata.Association{{ResourceType: "T"}},
		Definitions: []metadata.Definition{{Kind: metadata.PropertyDefinition, Name: "p", Document: []byte(`{}`)}},
	})
	if err != nil || w.Visibility != "private" {
		t.Fatalf("%+v, %v", w, err)
	}
	for name, err := range map[string]error{
		"delete": cat.DeleteNamespace(ctx, w.ID), "dissociate": cat.Dissociate(ctx, w.ID, "T"),
		"undefine": cat.Undefine(ctx, w.ID, metadata.PropertyDefinition, "p"), "undefine all": cat.Undefine(ctx, w.ID, metadata.PropertyDefinition, ""),
	} {
		if errcode.Of(err) != errcode.Forbidden {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := cat.WholeNamespace(ctx, w.ID); err != nil || len(got.Definitions) != 1 || len(got.Associations) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	// Once it is not protected, all goes.
	w.Protected = false
	if _, err := cat.UpdateNamespace(ctx, w.Namespace); err != nil {
		t.Fatal(err)
	}
	if err := cat.DeleteNamespace(ctx, w.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := cat.Define(ctx, w.ID, metadata.TagDefinition, false, metadata.Definition{Name: "t"}); errcode.Of(err) != errcode.NotFound {
		t.Errorf("define in a namespace that is gone: %v", err)
	}
}
