package servertest

import (
	"fmt"
	"testing"

	"ingest/internal/dbtest"
	"ingest/metadata"
)

// filled brings a catalogue of schema version 5 up to date: lists find its images by
// their tags and properties.
func (d Driver) filled(t *testing.T) {
	const many = 1095 // more than are read at once, and a multiple of 15
	url := d.Fresh(t)
	d.Older(t, url, 5)
	dbtest.Exec(t, url, olderImages(many)...)
	if s, err := d.Status(t.Context(), url, ""); err != nil || s.Version != 5 || s.Images != many+1 {
		t.Fatalf("status %+v, %v", s, err)
	}
	for range 2 { // the second time there is nothing left to do
		repo := d.open(t, url)
		for _, c := range []struct {
			filter metadata.ImageFilter
			want   int
		}{
			{metadata.ImageFilter{}, many + 1},
			{metadata.ImageFilter{Tags: []string{"all"}}, many},
			{metadata.ImageFilter{Tags: []string{"all", "t 1"}, Properties: map[string]string{"it's": "é 4"}, Limit: many}, many / 15},
			{metadata.ImageFilter{Properties: map[string]string{"q": ""}, Tags: []string{"T 1"}}, 0},
			{metadata.ImageFilter{Ranges: []metadata.Range{{Field: metadata.FieldSize}}, Sort: []metadata.Order{{Field: metadata.FieldSize}}, Limit: 5}, 1},
		} {
			list, err := metadata.New(repo).Images(t.Context(), c.filter)
			if err != nil || len(list) != c.want {
				t.Errorf("%+v finds %d images, %v; want %d", c.filter, len(list), err, c.want)
			}
		}
		repo.Close()
	}
}

// olderImages writes the statements that insert so many images with tags and properties,
// as schema version 5 keeps them, and one without.
func olderImages(many int) []string {
	const head = "INSERT INTO images (id, name, owner, status, visibility, protected, is_hidden, disk_format, container_format, checksum, hash_algo, hash_value, " +
		"content_digest, store, object_key, min_disk_gib, min_ram_mib, tags, properties, created_us, updated_us, row_version) VALUES "
	row := func(id, tags, properties string) string {
		return fmt.Sprintf("('%s', 'n', 'p', 'active', 'shared', FALSE, FALSE, 'raw', 'bare', '', '', '', '', '', '', 0, 0, '%s', '%s', 1, 1, 1)", id, tags, properties)
	}
	out := []string{head + row("bare", "", ""), "UPDATE images SET size_bytes = 5 WHERE id = 'bare'"}
	for i := range many {
		out = append(out, head+row(fmt.Sprintf("i-%04d", i), fmt.Sprintf(`["all","t %d","all"]`, i%3), fmt.Sprintf(`{"it''s":"é %d","q":""}`, i%5)))
	}
	return out
}
