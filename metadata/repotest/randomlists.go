package repotest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// Words of which random catalogues are made: few, so that filters hit, and such that
// databases like to mix up.
var (
	someNames  = []string{"", "a", "A", "ä", "a ", "b", "B", "aa", "it's", "100%", "日本", "🐧", "\uffee", "_"}
	someTags   = []string{"x86", "X86", "x86 ", "lts", "ß", "ss", "%"}
	someKeys   = []string{"os_distro", "OS_DISTRO", "name_min", "hw", "é"}
	someOwners = []string{"p", "P", "q", "r"}
	sortFields = []metadata.ImageField{metadata.FieldName, metadata.FieldStatus, metadata.FieldContainerFormat, metadata.FieldDiskFormat,
		metadata.FieldSize, metadata.FieldID, metadata.FieldCreatedAt, metadata.FieldUpdatedAt, metadata.FieldVirtualSize}
)

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// randomLists compares lists of random catalogues with the oracle's.
func randomLists(t *testing.T, repo metadata.Repository) {
	seed := time.Now().UnixNano()
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	var o oracle
	for i := range 120 {
		o.images = append(o.images, randomImage(r, i))
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		o.members = nil
		for _, img := range o.images {
			if err := tx.PutImage(ctx, img); err != nil {
				return err
			}
			for _, project := range someOwners {
				if r.IntN(3) > 0 {
					continue
				}
				m := metadata.Member{ImageID: img.ID, Project: project, Status: pick(r, metadata.MemberStatuses()...), CreatedAt: noon, UpdatedAt: noon}
				if err := tx.PutMember(ctx, m); err != nil {
					return err
				}
				o.members = append(o.members, m)
			}
		}
		return nil
	})
	found := 0
	for n := range 400 {
		if n%40 == 39 { // what is written anew is found anew
			i := r.IntN(len(o.images))
			o.images[i] = randomImage(r, i)
			do(t, repo, func(ctx context.Context, tx metadata.Tx) error { return tx.PutImage(ctx, o.images[i]) })
		}
		f := randomFilter(r, o)
		want, ok := o.list(f)
		found += len(want)
		var got []string
		err := repo.InTx(t.Context(), func(tx metadata.Tx) error {
			images, err := tx.Images(t.Context(), f)
			got = nil
			for _, img := range images {
				got = append(got, img.ID)
				same(t, img, o.images[slices.IndexFunc(o.images, func(m metadata.Image) bool { return m.ID == img.ID })])
			}
			return err
		})
		if !ok {
			coded(t, err, errcode.BadRequest)
			continue
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatalf("seed %d: filter %s: %v (-want +got):\n%s", seed, shown(f), err, diff)
		}
	}
	if found < 400 {
		t.Errorf("seed %d: the filters find %d images, too few to say anything", seed, found)
	}
}

// shown writes out what a filter points to.
func shown(f metadata.ImageFilter) string {
	s := fmt.Sprintf("%+v", f)
	if f.Seen != nil {
		s += fmt.Sprintf(" seen %+v", *f.Seen)
	}
	for _, r := range f.Ranges {
		if r.Min != nil {
			s += fmt.Sprintf(" %s from %d", r.Field, *r.Min)
		}
		if r.Max != nil {
			s += fmt.Sprintf(" %s to %d", r.Field, *r.Max)
		}
	}
	return s
}

func randomImage(r *rand.Rand, i int) metadata.Image {
	img := metadata.Image{
		ID: numbered("i", i*37%120), Name: pick(r, someNames...), Owner: pick(r, someOwners...),
		Status:     pick(r, metadata.ImageActive, metadata.ImageActive, metadata.ImageActive, metadata.ImageQueued, metadata.ImageKilled, metadata.ImageDeleted, metadata.ImagePendingDelete, metadata.ImageDeactivated),
		Visibility: pick(r, "private", "shared", "shared", "community", "public"), Protected: r.IntN(2) == 0, Hidden: r.IntN(4) == 0,
		DiskFormat: pick(r, "", "raw", "qcow2"), ContainerFormat: pick(r, "", "bare"),
		Checksum: pick(r, "", "c1", "C1"), HashAlgo: pick(r, "", "sha256"), HashValue: pick(r, "", "h1", "h2"),
		MinDisk: r.Int64N(3), MinRAM: r.Int64N(3), CreatedAt: moments(r.IntN(60)), UpdatedAt: moments(r.IntN(60)),
	}
	if r.IntN(3) > 0 {
		img.Size, img.VirtualSize = ptr(r.Int64N(4)), ptr(r.Int64N(4))
	}
	for _, tag := range someTags {
		if r.IntN(3) == 0 {
			img.Tags = append(img.Tags, tag)
		}
	}
	for _, key := range someKeys {
		if r.IntN(2) == 0 {
			if img.Properties == nil {
				img.Properties = map[string]string{}
			}
			img.Properties[key] = pick(r, someNames...)
		}
	}
	return img
}

func randomFilter(r *rand.Rand, o oracle) metadata.ImageFilter {
	var f metadata.ImageFilter
	if r.IntN(4) > 0 {
		f.Seen = &metadata.Seen{Project: pick(r, someOwners...), All: r.IntN(5) == 0, Community: r.IntN(2) == 0,
			Member: pick(r, "", "", metadata.MemberAny, metadata.MemberPending, metadata.MemberRejected)}
	}
	f.Deleted = r.IntN(6) == 0
	for _, set := range []func(){
		func() { f.Owner = pick(r, someOwners...) },
		func() { f.Visibility = pick(r, "private", "shared", "community", "public") },
		func() { f.Protected = ptr(r.IntN(2) == 0) },
		func() { f.Hidden = ptr(r.IntN(4) == 0) },
		func() { f.Tags = append(f.Tags, pick(r, someTags...)) },
		func() { f.Tags = append(f.Tags, pick(r, someTags...)) },
		func() { f.Properties = map[string]string{pick(r, someKeys...): pick(r, someNames...)} },
		func() { f.Matches = append(f.Matches, randomMatch(r)) },
		func() { f.Matches = append(f.Matches, randomMatch(r)) },
		func() { f.Ranges = append(f.Ranges, randomRange(r)) },
		func() { f.Ranges = append(f.Ranges, randomRange(r)) },
		func() { f.Marker = pick(r, o.images...).ID },
		func() { f.Limit = 1 + r.IntN(20) },
		func() { f.Limit = 1 + r.IntN(20) },
	} {
		if r.IntN(7) == 0 {
			set()
		}
	}
	for r.IntN(2) == 0 && len(f.Sort) < 4 {
		f.Sort = append(f.Sort, metadata.Order{Field: pick(r, sortFields...), Desc: r.IntN(2) == 0})
	}
	return f
}

func randomMatch(r *rand.Rand) metadata.Match {
	field := pick(r, metadata.FieldID, metadata.FieldName, metadata.FieldName, metadata.FieldStatus, metadata.FieldStatus, metadata.FieldDiskFormat,
		metadata.FieldContainerFormat, metadata.FieldChecksum, metadata.FieldHashAlgo, metadata.FieldHashValue)
	of := map[metadata.ImageField][]string{
		metadata.FieldID: {"i-001", "i-002", "i-003", "none"}, metadata.FieldName: someNames,
		metadata.FieldStatus:     {"active", "queued", "killed", "deleted", "pending_delete", "Active"},
		metadata.FieldDiskFormat: {"", "raw", "qcow2"}, metadata.FieldContainerFormat: {"", "bare"},
		metadata.FieldChecksum: {"", "c1", "C1"}, metadata.FieldHashAlgo: {"", "sha256"}, metadata.FieldHashValue: {"", "h1", "h2"},
	}[field]
	m := metadata.Match{Field: field}
	for range 1 + r.IntN(3) {
		m.Values = append(m.Values, pick(r, of...))
	}
	return m
}

func randomRange(r *rand.Rand) metadata.Range {
	out := metadata.Range{Field: pick(r, metadata.FieldSize, metadata.FieldVirtualSize, metadata.FieldMinDisk, metadata.FieldMinRAM, metadata.FieldCreatedAt, metadata.FieldUpdatedAt), Not: r.IntN(4) == 0}
	value := func() *int64 {
		if out.Field == metadata.FieldCreatedAt || out.Field == metadata.FieldUpdatedAt {
			return ptr(moments(r.IntN(60)).UnixMicro())
		}
		return ptr(r.Int64N(4))
	}
	if r.IntN(3) > 0 {
		out.Min = value()
	}
	if r.IntN(3) > 0 {
		out.Max = value()
	}
	return out
}
