package repotest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// fullNamespace has every field set.
func fullNamespace(id string) metadata.Namespace {
	return metadata.Namespace{
		ID: id, Name: "OS::Compute::" + id + " é", DisplayName: ptr("name of " + id), Description: ptr(strings.Repeat("d", 500)), Visibility: "public",
		Protected: true, Owner: "project", CreatedAt: noon, UpdatedAt: noon.Add(time.Microsecond),
	}
}

func fullAssociation(id, resourceType string) metadata.Association {
	return metadata.Association{NamespaceID: id, ResourceType: resourceType, Prefix: ptr("hw_"), PropertiesTarget: ptr("image"),
		CreatedAt: noon, UpdatedAt: noon.Add(time.Second)}
}

func definition(id string, kind metadata.DefinitionKind, name string) metadata.Definition {
	return metadata.Definition{NamespaceID: id, Kind: kind, Name: name, Document: json.RawMessage(`{"b": 1,  "a":["<&>é"]}`),
		CreatedAt: noon, UpdatedAt: noon.Add(time.Minute)}
}

func metadefRoundTrip(t *testing.T, repo metadata.Repository) {
	bare := metadata.Namespace{ID: "bare", Name: "bare", Visibility: "private", Owner: "other", CreatedAt: noon, UpdatedAt: noon}
	kind := metadata.ResourceType{Name: "OS::Nova::Flavor", CreatedAt: noon, UpdatedAt: noon.Add(time.Hour)}
	tie := fullAssociation("a", kind.Name)
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.PutNamespace(ctx, fullNamespace("a")), tx.PutNamespace(ctx, bare), tx.PutResourceType(ctx, kind),
			tx.PutAssociation(ctx, tie), tx.PutAssociation(ctx, metadata.Association{NamespaceID: "bare", ResourceType: kind.Name, CreatedAt: noon, UpdatedAt: noon}))
	})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		for _, want := range []metadata.Namespace{fullNamespace("a"), bare} {
			byName, err1 := tx.Namespace(ctx, want.Name)
			byID, err2 := tx.NamespaceByID(ctx, want.ID)
			same(t, byName, want)
			same(t, byID, want)
			if err := errors.Join(err1, err2); err != nil {
				return err
			}
		}
		_, err := tx.Namespace(ctx, strings.ToLower(fullNamespace("a").Name))
		coded(t, err, errcode.NotFound)
		// A type that is there stays as it is.
		later := kind
		later.CreatedAt = noon.Add(time.Hour)
		err1 := tx.PutResourceType(ctx, later)
		kinds, err2 := tx.ResourceTypes(ctx)
		same(t, kinds, []metadata.ResourceType{kind})
		ties, err3 := tx.Associations(ctx, "a")
		same(t, ties, []metadata.Association{tie})
		// Another one takes the place of one that is there.
		tie.Prefix = nil
		err4 := tx.PutAssociation(ctx, tie)
		ties, err5 := tx.Associations(ctx, "a", "bare")
		if len(ties) != 2 {
			t.Errorf("associations %+v", ties)
		}
		changed := fullNamespace("a")
		changed.Name, changed.DisplayName, changed.Protected = "renamed", nil, false
		err6 := tx.PutNamespace(ctx, changed)
		got, err7 := tx.Namespace(ctx, "renamed")
		same(t, got, changed)
		return errors.Join(err1, err2, err3, err4, err5, err6, err7)
	})
}

// someNamespaces has three, made one after the other.
func someNamespaces(t *testing.T, repo metadata.Repository) {
	rows := []metadata.Namespace{
		{ID: "1", Name: "b", Owner: "p", Visibility: "public", DisplayName: ptr("X")},
		{ID: "2", Name: "C", Owner: "q", Visibility: "private", Protected: true},
		{ID: "3", Name: "a", Owner: "p", Visibility: "private", DisplayName: ptr("W")},
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		for i, ns := range rows {
			ns.CreatedAt = noon.Add(time.Duration(i) * time.Microsecond)
			ns.UpdatedAt = noon.Add(-time.Duration(i) * time.Microsecond)
			kind := metadata.ResourceType{Name: "type of " + ns.Name, CreatedAt: noon, UpdatedAt: noon}
			all := metadata.ResourceType{Name: "all", CreatedAt: noon, UpdatedAt: noon}
			err := errors.Join(tx.PutNamespace(ctx, ns), tx.PutResourceType(ctx, kind), tx.PutResourceType(ctx, all),
				tx.PutAssociation(ctx, fullAssociation(ns.ID, kind.Name)), tx.PutAssociation(ctx, fullAssociation(ns.ID, "all")))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func namesOf(t *testing.T, repo metadata.Repository, f metadata.NamespaceFilter) string {
	t.Helper()
	names := []string{}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		list, err := tx.Namespaces(ctx, f)
		names = names[:0]
		for _, ns := range list {
			names = append(names, ns.Name)
		}
		return err
	})
	return fmt.Sprint(names)
}

func namespaceFilters(t *testing.T, repo metadata.Repository) {
	someNamespaces(t, repo)
	tests := []struct {
		filter metadata.NamespaceFilter
		want   string
	}{
		{metadata.NamespaceFilter{}, "[a C b]"},
		{metadata.NamespaceFilter{Ascending: true}, "[b C a]"},
		{metadata.NamespaceFilter{SortKey: "namespace", Ascending: true}, "[C a b]"},
		{metadata.NamespaceFilter{SortKey: "namespace"}, "[b a C]"},
		{metadata.NamespaceFilter{SortKey: "display_name", Ascending: true}, "[C a b]"},
		{metadata.NamespaceFilter{SortKey: "updated_at", Ascending: true}, "[a C b]"},
		{metadata.NamespaceFilter{SortKey: "owner"}, "[C a b]"},
		{metadata.NamespaceFilter{SortKey: "protected"}, "[C a b]"},
		{metadata.NamespaceFilter{SortKey: "visibility", Ascending: true}, "[C a b]"},
		{metadata.NamespaceFilter{SeenBy: "p"}, "[a b]"},
		{metadata.NamespaceFilter{SeenBy: "q"}, "[C b]"},
		{metadata.NamespaceFilter{SeenBy: "r"}, "[b]"},
		{metadata.NamespaceFilter{Visibility: "private"}, "[a C]"},
		{metadata.NamespaceFilter{Visibility: "private", SeenBy: "q"}, "[C]"},
		{metadata.NamespaceFilter{ResourceTypes: []string{"type of a", "type of b", "none"}}, "[a b]"},
		{metadata.NamespaceFilter{ResourceTypes: []string{"all", "type of a"}}, "[a C b]"},
		{metadata.NamespaceFilter{ResourceTypes: []string{"none"}}, "[]"},
		{metadata.NamespaceFilter{Limit: 2}, "[a C]"},
		{metadata.NamespaceFilter{Marker: "a", Limit: 1}, "[C]"},
		{metadata.NamespaceFilter{Marker: "b"}, "[]"},
		{metadata.NamespaceFilter{Marker: "C", SeenBy: "p"}, "[b]"},
	}
	for _, tt := range tests {
		if got := namesOf(t, repo, tt.filter); got != tt.want {
			t.Errorf("%+v: got %s, want %s", tt.filter, got, tt.want)
		}
	}
	for _, bad := range []struct {
		filter metadata.NamespaceFilter
		code   errcode.Code
	}{
		{metadata.NamespaceFilter{Marker: "none"}, errcode.NotFound},
		{metadata.NamespaceFilter{SortKey: "id; DROP TABLE images"}, errcode.BadRequest},
	} {
		err := repo.InTx(t.Context(), func(tx metadata.Tx) error {
			_, err := tx.Namespaces(t.Context(), bad.filter)
			return err
		})
		coded(t, err, bad.code)
	}
}

// namespacePages reads lists page by page, by keys that are all equal and by such that
// are not.
func namespacePages(t *testing.T, repo metadata.Repository) {
	const n = 25
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		for i := range n {
			ns := metadata.Namespace{ID: numbered("id", n-i), Name: numbered("ns", i), Owner: "p", Visibility: "public",
				CreatedAt: noon.Add(time.Duration(i/5) * time.Second), UpdatedAt: noon}
			if i%2 == 0 {
				ns.DisplayName = ptr(numbered("d", i/4))
			}
			if err := tx.PutNamespace(ctx, ns); err != nil {
				return err
			}
		}
		return nil
	})
	for _, key := range []string{"created_at", "updated_at", "namespace", "display_name", "protected", "owner"} {
		for _, up := range []bool{false, true} {
			whole := namesOf(t, repo, metadata.NamespaceFilter{SortKey: key, Ascending: up})
			var got []string
			for marker := ""; ; marker = got[len(got)-1] {
				part := strings.Fields(strings.Trim(namesOf(t, repo, metadata.NamespaceFilter{SortKey: key, Ascending: up, Marker: marker, Limit: 4}), "[]"))
				if got = append(got, part...); len(part) < 4 {
					break
				}
			}
			if fmt.Sprint(got) != whole || len(got) != n {
				t.Errorf("by %s, ascending %v: pages %v, whole list %v", key, up, got, whole)
			}
		}
	}
}

func namespaceContent(t *testing.T, repo metadata.Repository) {
	const many = 1200
	var list []metadata.Definition
	for i := range many {
		list = append(list, definition("a", metadata.PropertyDefinition, numbered("p", many-i)))
	}
	tag := definition("a", metadata.TagDefinition, numbered("p", 1))
	tag.Document = nil
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.PutNamespace(ctx, fullNamespace("a")), tx.PutNamespace(ctx, fullNamespace("b")),
			tx.PutResourceType(ctx, metadata.ResourceType{Name: "t", CreatedAt: noon, UpdatedAt: noon}), tx.PutAssociation(ctx, fullAssociation("a", "t")),
			tx.PutDefinitions(ctx, list...), tx.PutDefinitions(ctx, tag), tx.PutDefinitions(ctx, definition("b", metadata.ObjectDefinition, "o")))
	})
	read := func(id string, kind metadata.DefinitionKind) (out []metadata.Definition) {
		t.Helper()
		do(t, repo, func(ctx context.Context, tx metadata.Tx) (err error) {
			out, err = tx.Definitions(ctx, id, kind)
			return err
		})
		return out
	}
	got := read("a", metadata.PropertyDefinition)
	if len(got) != many {
		t.Fatalf("%d properties, want %d", len(got), many)
	}
	for i := range got {
		if i > 0 && got[i].Seq <= got[i-1].Seq {
			t.Fatalf("definition %d has number %d, after %d", i, got[i].Seq, got[i-1].Seq)
		}
		list[i].Seq = got[i].Seq
	}
	same(t, got, list)
	// One of another name keeps its place.
	changed := got[7]
	changed.Name, changed.Document, changed.UpdatedAt = "new", json.RawMessage(`{}`), noon.Add(time.Hour)
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.PutDefinitions(ctx, changed), tx.DeleteDefinitions(ctx, "a", metadata.PropertyDefinition, got[8].Name))
	})
	after := read("a", metadata.PropertyDefinition)
	same(t, after[7], changed)
	if len(after) != many-1 || len(read("a", "")) != many {
		t.Errorf("%d properties, %d definitions", len(after), len(read("a", "")))
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return tx.DeleteDefinitions(ctx, "a", metadata.PropertyDefinition, "")
	})
	if rest := read("a", ""); len(rest) != 1 || rest[0].Kind != metadata.TagDefinition || rest[0].Document != nil {
		t.Errorf("left are %+v", rest)
	}
	// With the namespace everything in it goes, and the type stays.
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		err := errors.Join(tx.DeleteNamespace(ctx, "a"), tx.DeleteNamespace(ctx, "none"))
		ties, err1 := tx.Associations(ctx, "a")
		kinds, err2 := tx.ResourceTypes(ctx)
		if len(ties) != 0 || len(kinds) != 1 {
			t.Errorf("associations %v, types %v", ties, kinds)
		}
		return errors.Join(err, err1, err2)
	})
	if len(read("a", "")) != 0 || len(read("b", "")) != 1 {
		t.Error("the definitions of one namespace go with it, and no others")
	}
}

func refusedMetadefs(t *testing.T, repo metadata.Repository) {
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.PutNamespace(ctx, fullNamespace("a")), tx.PutDefinitions(ctx, definition("a", metadata.TagDefinition, "t")))
	})
	twin := fullNamespace("b")
	twin.Name = fullNamespace("a").Name
	long := fullNamespace("c")
	long.Name = strings.Repeat("x", 256)
	nul := definition("a", metadata.PropertyDefinition, "\x00")
	for name, tt := range map[string]struct {
		put  func(metadata.Tx) error
		code errcode.Code
	}{
		"name of another": {func(tx metadata.Tx) error { return tx.PutNamespace(t.Context(), twin) }, errcode.Conflict},
		"tag twice": {func(tx metadata.Tx) error {
			return tx.PutDefinitions(t.Context(), definition("a", metadata.TagDefinition, "t"))
		}, errcode.Conflict},
		"long name": {func(tx metadata.Tx) error { return tx.PutNamespace(t.Context(), long) }, errcode.BadRequest},
		"NUL":       {func(tx metadata.Tx) error { return tx.PutDefinitions(t.Context(), nul) }, errcode.BadRequest},
	} {
		t.Run(name, func(t *testing.T) { coded(t, repo.InTx(t.Context(), tt.put), tt.code) })
	}
}
