package repotest

import (
	"strings"
	"testing"

	"ingest/metadata"
)

// A Schema is a database whose schema a test of Schemas breaks.
type Schema struct {
	Open func() (metadata.Repository, error)
	// Version returns that of the schema, and what this program says against it.
	Version func() (version, known int64, refused string, err error)
	// Exec runs statements beside ingest.
	Exec func(statements ...string)
}

// Schemas opens databases that are empty, whole, of a later program and of somebody
// else. fresh makes an empty one.
func Schemas(t *testing.T, fresh func(testing.TB) Schema) {
	check := func(t *testing.T, s Schema, whole bool, refused string) {
		t.Helper()
		version, known, why, err := s.Version()
		if err != nil || (version == known) != whole || !strings.Contains(why, refused) || (why == "") != (refused == "") {
			t.Errorf("schema version %d of %d, refused %q, %v", version, known, why, err)
		}
	}
	fails := func(t *testing.T, s Schema, want string) {
		t.Helper()
		repo, err := s.Open()
		if err == nil {
			repo.Close()
			t.Fatal("it was opened")
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	t.Run("Whole", func(t *testing.T) {
		s := fresh(t)
		check(t, s, false, "")
		for range 2 {
			repo, err := s.Open()
			if err != nil {
				t.Fatal(err)
			}
			repo.Close()
			check(t, s, true, "")
		}
	})
	t.Run("Later", func(t *testing.T) {
		s := fresh(t)
		repo, err := s.Open()
		if err != nil {
			t.Fatal(err)
		}
		repo.Close()
		s.Exec("INSERT INTO catalogue_migrations VALUES (9999, 'of_tomorrow', 1)")
		const why = "schema version 9999 (of_tomorrow), this program knows versions up to "
		check(t, s, false, why)
		fails(t, s, why)
	})
	t.Run("SomebodyElses", func(t *testing.T) {
		s := fresh(t)
		s.Exec("CREATE TABLE images (id INTEGER)", "INSERT INTO images VALUES (7)")
		for range 2 { // it is not taken for the rest of a killed migration either
			fails(t, s, "exists")
		}
		check(t, s, false, "")
		s.Exec("DROP TABLE images")
		repo, err := s.Open()
		if err != nil {
			t.Fatal(err)
		}
		repo.Close()
		check(t, s, true, "")
	})
}
