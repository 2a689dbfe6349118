package servertest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"ingest/internal/dbtest"
	"ingest/metadata"
)

// older are the tables of schema version 5.
var older = []string{"catalogue_migrations", "images", "tasks", "events", "provenance", "reservations", "image_locations"}

// newer are the indexes that later versions have added to those tables.
var newer = []string{"images_by_visibility", "images_by_name", "images_by_owner_and_name", "images_by_visibility_and_name", "images_by_checksum"}

// filled brings a catalogue of schema version 5 up to date: lists find its images by
// their tags and properties.
func (d Driver) filled(t *testing.T) {
	const many = 1095 // more than are read at once, and a multiple of 15
	url := d.Fresh(t)
	repo := d.open(t, url)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	put := func(ctx context.Context, tx metadata.Tx) error {
		for i := range many {
			err := tx.PutImage(ctx, metadata.Image{ID: fmt.Sprintf("i-%04d", i), Status: metadata.ImageActive, CreatedAt: at, UpdatedAt: at,
				Tags: []string{"all", fmt.Sprint("t ", i%3), "all"}, Properties: map[string]string{"it's": fmt.Sprint("é ", i%5), "\"": ""}})
			if err != nil {
				return err
			}
		}
		return tx.PutImage(ctx, metadata.Image{ID: "bare", Status: metadata.ImageActive, CreatedAt: at, UpdatedAt: at})
	}
	if err := repo.InTx(t.Context(), func(tx metadata.Tx) error { return put(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
	if err := repo.Close(); err != nil {
		t.Fatal(err)
	}
	d.takeBack(t, url)
	if s, err := d.Status(t.Context(), url, ""); err != nil || s.Version != 5 || s.Images != many+1 {
		t.Fatalf("status %+v, %v", s, err)
	}
	for range 2 {
		repo = d.open(t, url)
		for _, c := range []struct {
			filter metadata.ImageFilter
			want   int
		}{
			{metadata.ImageFilter{}, many + 1},
			{metadata.ImageFilter{Tags: []string{"all"}}, many},
			{metadata.ImageFilter{Tags: []string{"all", "t 1"}, Properties: map[string]string{"it's": "é 4"}, Limit: many}, many / 15},
			{metadata.ImageFilter{Properties: map[string]string{"\"": ""}, Tags: []string{"T 1"}}, 0},
		} {
			list, err := metadata.New(repo).Images(t.Context(), c.filter)
			if err != nil || len(list) != c.want {
				t.Errorf("%+v finds %d images, %v; want %d", c.filter, len(list), err, c.want)
			}
		}
		repo.Close()
	}
}

// takeBack makes of a database one that a program of schema version 5 has written.
func (d Driver) takeBack(t *testing.T, url string) {
	t.Helper()
	db := dbtest.Open(t, url)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), d.Tables)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(older, name) {
			names = append(names, name)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	// What refers to another table goes before it, in whatever order that is.
	for left := names; len(left) > 0; {
		var kept []string
		for _, name := range left {
			if _, err = db.ExecContext(t.Context(), "DROP TABLE "+name); err != nil {
				kept = append(kept, name)
			}
		}
		if len(kept) == len(left) {
			t.Fatal(err)
		}
		left = kept
	}
	for _, index := range newer {
		dbtest.Exec(t, url, d.DropIndex(index, "images"))
	}
	dbtest.Exec(t, url, "DELETE FROM catalogue_migrations WHERE version > 5")
}
