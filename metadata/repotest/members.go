package repotest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func members(t *testing.T, repo metadata.Repository) {
	first := metadata.Member{ImageID: "i", Project: "it's ß", Status: metadata.MemberPending, CreatedAt: noon, UpdatedAt: noon}
	second := metadata.Member{ImageID: "i", Project: "IT'S ß", Status: metadata.MemberAccepted, CreatedAt: noon.Add(time.Microsecond), UpdatedAt: noon.Add(time.Hour)}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		coded(t, tx.PutMember(ctx, first), errcode.NotFound)
		return errors.Join(tx.PutImage(ctx, fullImage("i")), tx.PutImage(ctx, fullImage("j")), tx.PutMember(ctx, second), tx.PutMember(ctx, first),
			tx.PutMember(ctx, metadata.Member{ImageID: "j", Project: "it's ß", Status: metadata.MemberRejected, CreatedAt: noon, UpdatedAt: noon}))
	})
	first.Status, first.UpdatedAt = metadata.MemberRejected, noon.Add(time.Minute)
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		if err := tx.PutMember(ctx, first); err != nil {
			return err
		}
		got, err := tx.Members(ctx, "i")
		same(t, got, []metadata.Member{first, second})
		return err
	})
	count := func(image string) (n int) {
		t.Helper()
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
			list, err := tx.Members(ctx, image)
			n = len(list)
			return err
		})
		return n
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return tx.DeleteMembers(ctx, "i", first.Project, "nobody")
	})
	if i, j := count("i"), count("j"); i != 1 || j != 1 {
		t.Errorf("%d and %d members after one has gone, want 1 and 1", i, j)
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.DeleteMembers(ctx, "i"), tx.RemoveImage(ctx, "j"))
	})
	if i, j := count("i"), count("j"); i != 0 || j != 0 {
		t.Errorf("%d and %d members are left", i, j)
	}
	for _, m := range []metadata.Member{{ImageID: "i"}, {ImageID: "i", Project: "a\x00b"}} {
		err := repo.InTx(t.Context(), func(tx metadata.Tx) error { return tx.PutMember(t.Context(), m) })
		coded(t, err, errcode.BadRequest)
	}
}

// hostileFilters asks for what no image can have. Databases differ in what they make of
// such texts in a query.
func hostileFilters(t *testing.T, repo metadata.Repository) {
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error { return tx.PutImage(ctx, fullImage("i")) })
	for _, bad := range []string{"a\x00b", "\xff", "\xed\xa0\x80"} {
		for _, f := range []metadata.ImageFilter{
			{Owner: bad}, {Name: bad}, {Visibility: bad}, {Marker: bad}, {Tags: []string{bad}}, {Properties: map[string]string{bad: ""}},
			{Properties: map[string]string{"os_distro": bad}}, {Matches: []metadata.Match{{Field: metadata.FieldName, Values: []string{"ok", bad}}}},
		} {
			err := repo.InTx(t.Context(), func(tx metadata.Tx) error { _, err := tx.Images(t.Context(), f); return err })
			coded(t, err, errcode.BadRequest)
		}
		err := repo.InTx(t.Context(), func(tx metadata.Tx) error { _, err := tx.Image(t.Context(), bad); return err })
		coded(t, err, errcode.NotFound)
	}
	long := strings.Repeat("é", 70_000)
	for _, s := range []string{"' OR 1=1 --", `\' OR 1=1 #`, "%", "?", "?0", "{id}", long} {
		for _, f := range []metadata.ImageFilter{{Name: s}, {Tags: []string{s}}, {Properties: map[string]string{s: s}}, {Matches: []metadata.Match{{Field: metadata.FieldName, Values: []string{s, s}}}}} {
			if ids := listImages(t, repo, f); len(ids) != 0 {
				t.Errorf("%.20q finds %q", s, ids)
			}
		}
	}
}

// manyAddMembers shares one image from all sides with more than it may have.
func manyAddMembers(t *testing.T, repo metadata.Repository) {
	const most = 10
	cat := metadata.New(repo)
	if _, err := cat.CreateImage(t.Context(), metadata.Image{ID: "i", Owner: "p", Visibility: "shared"}); err != nil {
		t.Fatal(err)
	}
	added, full, twice := 0, 0, 0
	for _, err := range together(func(i int) error {
		_, err := cat.AddMember(t.Context(), "i", fmt.Sprint("project-", i/2), most)
		return err
	}) {
		switch errcode.Of(err) {
		case "":
			added++
		case errcode.QuotaExceeded:
			full++
		case errcode.Conflict:
			twice++
		default:
			t.Errorf("add a member: %v", err)
		}
	}
	list, err := cat.Members(t.Context(), "i")
	if err != nil || len(list) != most || added != most || added+full+twice != crowd {
		t.Errorf("%d members of at most %d; %d added, %d too many, %d twice, %v", len(list), most, added, full, twice, err)
	}
}
