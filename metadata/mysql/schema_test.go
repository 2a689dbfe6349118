package mysql

import (
	"testing"

	"ingest/internal/dbtest"
)

// TestKilledMigration opens a database whose migrations were killed in their middle,
// where each statement that was run stays.
func TestKilledMigration(t *testing.T) {
	for name, statements := range map[string][]string{
		"first": {
			"DROP TABLE image_members", "DROP TABLE image_tags", "DROP TABLE image_properties", "DROP INDEX images_by_visibility ON images",
			"DROP INDEX images_by_name ON images", "DROP INDEX images_by_owner_and_name ON images",
			"DROP INDEX images_by_visibility_and_name ON images", "DROP INDEX images_by_checksum ON images",
			"DROP TABLE webhook_deliveries", "DROP TABLE webhooks",
			"ALTER TABLE tasks DROP COLUMN paused, DROP COLUMN priority, DROP COLUMN retry_of, DROP COLUMN steered, DROP COLUMN steer_told",
			"DROP TABLE metadef_definitions", "DROP TABLE metadef_associations", "DROP TABLE metadef_resource_types", "DROP TABLE metadef_namespaces",
			"DROP TABLE idempotency_keys", "DROP TABLE provenance", "DROP TABLE image_locations", "DROP TABLE reservations", "DROP TABLE events",
			"DROP INDEX images_by_object ON images", "DROP INDEX images_by_hash ON images", "DROP INDEX tasks_by_image ON tasks",
			"DELETE FROM catalogue_migrations WHERE version > 1", "UPDATE catalogue_migrations SET applied_us = 0",
		},
		"last": {
			"DROP INDEX image_locations_by_object ON image_locations", "DROP TABLE image_properties", "DROP TABLE metadef_definitions", "UPDATE catalogue_migrations SET applied_us = 0 WHERE version >= 5",
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := dbtest.MariaDB(t)
			open(t, url).Close()
			s := driver().Schema(t, url)
			whole := tables(t, url)
			s.Exec(statements...)
			if tables(t, url) == whole {
				t.Fatal("nothing is missing")
			}
			if version, known, _, err := s.Version(); version == known || err != nil {
				t.Errorf("version %d, %v", version, err)
			}
			open(t, url).Close()
			if got := tables(t, url); got != whole {
				t.Errorf("the tables are\n%s\nwant\n%s", got, whole)
			}
			if version, known, _, err := s.Version(); version != known || err != nil {
				t.Errorf("version %d of %d, %v", version, known, err)
			}
		})
	}
}

// tables describes columns and indexes.
func tables(t testing.TB, url string) string {
	t.Helper()
	db := dbtest.Open(t, url)
	defer db.Close()
	var out string
	for _, query := range []string{
		"SELECT GROUP_CONCAT(table_name, '.', column_name, ' ', column_type, ' ', COALESCE(collation_name, '') ORDER BY table_name, column_name SEPARATOR '\n') FROM information_schema.columns WHERE table_schema = DATABASE()",
		"SELECT GROUP_CONCAT(table_name, '.', index_name, ' ', seq_in_index, ' ', column_name ORDER BY table_name, index_name, seq_in_index SEPARATOR '\n') FROM information_schema.statistics WHERE table_schema = DATABASE()",
	} {
		var part string
		if err := db.QueryRowContext(t.Context(), query).Scan(&part); err != nil {
			t.Fatal(err)
		}
		out += part + "\n"
	}
	return out
}
