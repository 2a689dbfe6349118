package repotest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func imageFilters(t *testing.T, repo metadata.Repository) {
	rows := []metadata.Image{
		{ID: "a", Owner: "p", Name: "n", Status: metadata.ImageActive, DiskFormat: "raw", Visibility: "public", HashValue: "aa", Store: "s", Key: "k",
			Copies: []metadata.Copy{{Location: at("t", "l"), CreatedAt: noon}, {Location: at("u", "k"), CreatedAt: noon}}},
		{ID: "b", Owner: "p", Name: "m", Status: metadata.ImageQueued, DiskFormat: "qcow2", Visibility: "shared", HashValue: "bb", Store: "s", Key: "k"},
		{ID: "c", Owner: "q", Name: "n", Status: metadata.ImageDeleted, DiskFormat: "raw", Visibility: "shared", Store: "x", Key: "x"},
	}
	for i, img := range rows {
		img.CreatedAt = noon.Add(time.Duration(i) * time.Microsecond)
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error { return tx.PutImage(ctx, img) })
	}
	tests := []struct {
		filter metadata.ImageFilter
		want   string
	}{
		{metadata.ImageFilter{}, "[b a]"},
		{metadata.ImageFilter{Deleted: true}, "[c b a]"},
		{metadata.ImageFilter{Owner: "p"}, "[b a]"},
		{metadata.ImageFilter{Owner: "q"}, "[]"},
		{metadata.ImageFilter{Owner: "q", Deleted: true}, "[c]"},
		{metadata.ImageFilter{Name: "n"}, "[a]"},
		{metadata.ImageFilter{Name: "N"}, "[]"},
		{metadata.ImageFilter{Status: metadata.ImageQueued}, "[b]"},
		{metadata.ImageFilter{Status: metadata.ImageDeleted, Deleted: true}, "[c]"},
		{metadata.ImageFilter{DiskFormat: "raw", Deleted: true}, "[c a]"},
		{metadata.ImageFilter{Visibility: "shared"}, "[b]"},
		{metadata.ImageFilter{Deleted: true, Limit: 2}, "[c b]"},
		{metadata.ImageFilter{Deleted: true, Marker: "b"}, "[a]"},
		{metadata.ImageFilter{Marker: "c"}, "[b a]"},
		{metadata.ImageFilter{Marker: "a"}, "[]"},
		{metadata.ImageFilter{HashValue: "aa"}, "[a]"},
		{metadata.ImageFilter{At: &metadata.Location{Store: "s", Key: "k"}}, "[b a]"},
		{metadata.ImageFilter{At: &metadata.Location{Store: "s", Key: "k"}, Limit: 1}, "[b]"},
		{metadata.ImageFilter{At: &metadata.Location{Store: "u", Key: "k"}}, "[a]"},
		{metadata.ImageFilter{At: &metadata.Location{Store: "u", Key: "k"}, Status: metadata.ImageQueued}, "[]"},
		{metadata.ImageFilter{At: &metadata.Location{Key: "l"}}, "[a]"},
		{metadata.ImageFilter{At: &metadata.Location{Key: "k"}}, "[b a]"},
		{metadata.ImageFilter{At: &metadata.Location{Store: "t", Key: "k"}}, "[]"},
		{metadata.ImageFilter{At: &metadata.Location{Store: "x", Key: "x"}, Deleted: true}, "[c]"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%+v", tt.filter), func(t *testing.T) {
			if got := fmt.Sprint(listImages(t, repo, tt.filter)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func at(store, key string) metadata.Location { return metadata.Location{Store: store, Key: key} }

func taskFilters(t *testing.T, repo metadata.Repository) {
	rows := []metadata.Task{
		{ID: "a", Owner: "p", Type: "import", Status: metadata.TaskPending, ImageID: "1"},
		{ID: "b", Owner: "p", Type: "api_image_import", Status: metadata.TaskProcessing, ImageID: "1"},
		{ID: "c", Owner: "q", Type: "import", Status: metadata.TaskSuccess, ImageID: "2", Result: json.RawMessage(`{"images":[{"image_id":"2"},{"image_id":"20"}]}`)},
		{ID: "d", Owner: "q", Type: "import", Status: metadata.TaskFailure, ImageID: "1"},
	}
	for i, task := range rows {
		task.CreatedAt = noon.Add(time.Duration(i) * time.Microsecond)
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error { return tx.PutTask(ctx, task) })
	}
	tests := []struct {
		filter metadata.TaskFilter
		want   string
	}{
		{metadata.TaskFilter{}, "[d c b a]"},
		{metadata.TaskFilter{Owner: "p"}, "[b a]"},
		{metadata.TaskFilter{Type: "import"}, "[d c a]"},
		{metadata.TaskFilter{Status: metadata.TaskSuccess}, "[c]"},
		{metadata.TaskFilter{ImageID: "1"}, "[d b a]"},
		{metadata.TaskFilter{Result: "2"}, "[c]"},
		{metadata.TaskFilter{Owner: "q", Result: "20"}, "[c]"},
		{metadata.TaskFilter{Owner: "p", Result: "20"}, "[]"},
		{metadata.TaskFilter{Result: "0"}, "[]"},
		{metadata.TaskFilter{Result: "%"}, "[]"},
		{metadata.TaskFilter{Unfinished: true}, "[b a]"},
		{metadata.TaskFilter{ImageID: "1", Unfinished: true, Limit: 1}, "[b]"},
		{metadata.TaskFilter{Marker: "c", Limit: 1}, "[b]"},
		{metadata.TaskFilter{Owner: "q", Marker: "d"}, "[c]"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%+v", tt.filter), func(t *testing.T) {
			if got := fmt.Sprint(listTasks(t, repo, tt.filter)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// moments spreads rows over a few moments, so that many share one.
func moments(i int) time.Time { return noon.Add(time.Duration(i/7) * time.Microsecond) }

func imagePages(t *testing.T, repo metadata.Repository) {
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		for i := range 30 {
			err := tx.PutImage(ctx, metadata.Image{ID: numbered("i", i*17%30), Status: metadata.ImageActive, CreatedAt: moments(i), UpdatedAt: noon})
			if err != nil {
				return err
			}
		}
		return nil
	})
	whole := listImages(t, repo, metadata.ImageFilter{})
	pages(t, whole, 30, func(marker string, limit int) []string {
		return listImages(t, repo, metadata.ImageFilter{Marker: marker, Limit: limit})
	})
	// An image that is deleted meanwhile still marks its place.
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		img, err := tx.Image(ctx, whole[9])
		if err != nil {
			return err
		}
		img.Status = metadata.ImageDeleted
		return tx.PutImage(ctx, img)
	})
	if diff := cmp.Diff(whole[10:], listImages(t, repo, metadata.ImageFilter{Marker: whole[9]})); diff != "" {
		t.Errorf("after a deleted marker (-want +got):\n%s", diff)
	}
}

func taskPages(t *testing.T, repo metadata.Repository) {
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		for i := range 30 {
			if err := tx.PutTask(ctx, metadata.Task{ID: numbered("t", i*17%30), CreatedAt: moments(i), UpdatedAt: noon}); err != nil {
				return err
			}
		}
		return nil
	})
	pages(t, listTasks(t, repo, metadata.TaskFilter{}), 30, func(marker string, limit int) []string {
		return listTasks(t, repo, metadata.TaskFilter{Marker: marker, Limit: limit})
	})
}

// pages reads page by page and compares with the whole list.
func pages(t *testing.T, whole []string, n int, list func(marker string, limit int) []string) {
	t.Helper()
	if len(whole) != n {
		t.Fatalf("the whole list has %d rows, want %d", len(whole), n)
	}
	for _, limit := range []int{1, 4, n, n + 1} {
		var got []string
		for marker := ""; ; marker = got[len(got)-1] {
			page := list(marker, limit)
			if len(page) > limit {
				t.Fatalf("a page of %d has %d rows", limit, len(page))
			}
			got = append(got, page...)
			if len(page) < limit || len(got) > n {
				break
			}
		}
		if diff := cmp.Diff(whole, got); diff != "" {
			t.Errorf("pages of %d differ from the whole list (-want +got):\n%s", limit, diff)
		}
	}
}

// unknownMarker also asks with a marker of another owner, which must look the
// same as none.
func unknownMarker(t *testing.T, repo metadata.Repository) {
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		_, err := tx.Images(ctx, metadata.ImageFilter{Marker: "none"})
		coded(t, err, errcode.BadRequest)
		_, err = tx.Tasks(ctx, metadata.TaskFilter{Marker: "none"})
		coded(t, err, errcode.BadRequest)
		if err := errors.Join(tx.PutImage(ctx, fullImage("i")), tx.PutTask(ctx, fullTask("t"))); err != nil {
			return err
		}
		_, err = tx.Images(ctx, metadata.ImageFilter{Marker: "i", Owner: "somebody else"})
		coded(t, err, errcode.BadRequest)
		_, err = tx.Tasks(ctx, metadata.TaskFilter{Marker: "t", Owner: "somebody else"})
		coded(t, err, errcode.BadRequest)
		return nil
	})
}

func listImages(t testing.TB, repo metadata.Repository, f metadata.ImageFilter) []string {
	t.Helper()
	var ids []string
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		ids = nil
		images, err := tx.Images(ctx, f)
		for _, img := range images {
			ids = append(ids, img.ID)
		}
		return err
	})
	return ids
}

func listTasks(t testing.TB, repo metadata.Repository, f metadata.TaskFilter) []string {
	t.Helper()
	var ids []string
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		ids = nil
		tasks, err := tx.Tasks(ctx, f)
		for _, task := range tasks {
			ids = append(ids, task.ID)
		}
		return err
	})
	return ids
}

// manyMarks lists by as many tags and properties as an image may have.
func manyMarks(t *testing.T, repo metadata.Repository) {
	const most = 128
	img := metadata.Image{ID: "all", Owner: "p", Visibility: "public", Status: metadata.ImageActive, CreatedAt: noon, UpdatedAt: noon, Properties: map[string]string{}}
	for i := range most {
		img.Tags = append(img.Tags, fmt.Sprintf("t%d", i))
		img.Properties[fmt.Sprintf("p%d", i)] = "v"
	}
	one := img
	one.ID, one.Tags = "one", img.Tags[:most-1]
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.PutImage(ctx, img), tx.PutImage(ctx, one))
	})
	for _, seen := range []*metadata.Seen{nil, {Project: "p"}, {Project: "q"}} {
		f := metadata.ImageFilter{Tags: img.Tags, Properties: img.Properties, Seen: seen}
		if got := fmt.Sprint(listImages(t, repo, f)); got != "[all]" {
			t.Errorf("seen by %v: %s", seen, got)
		}
	}
}
