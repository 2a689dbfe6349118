package mysql

import (
	"testing"

	"ingest/internal/dbtest"
)

// TestKilledMigration opens databases whose migrations were killed in their middle,
// where each statement that was run stays.
func TestKilledMigration(t *testing.T) {
	whole := dbtest.MariaDB(t)
	open(t, whole).Close()
	for name, tt := range map[string]struct {
		version    int64
		statements []string
	}{
		"first":  {1, []string{"DROP TABLE events", "DROP INDEX tasks_by_image ON tasks", "UPDATE catalogue_migrations SET applied_us = 0"}},
		"lists":  {6, []string{"DROP TABLE image_properties", "DROP INDEX images_by_checksum ON images", "UPDATE catalogue_migrations SET applied_us = 0 WHERE version = 6"}},
		"orders": {14, []string{"DROP INDEX images_by_id ON images", "DROP INDEX images_by_size ON images", "UPDATE catalogue_migrations SET applied_us = 0 WHERE version = 14"}},
		"filled": {6, []string{"UPDATE catalogue_migrations SET applied_us = 0 WHERE version = 6"}},
	} {
		t.Run(name, func(t *testing.T) {
			url := dbtest.MariaDB(t)
			older(t, url, tt.version)
			s := driver().Schema(t, url)
			s.Exec(tt.statements...)
			if version, _, _, err := s.Version(); version != tt.version-1 || err != nil {
				t.Errorf("version %d, %v", version, err)
			}
			open(t, url).Close()
			if got, want := tables(t, url), tables(t, whole); got != want {
				t.Errorf("the tables are\n%s\nwant\n%s", got, want)
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
