package postgres

import (
	"fmt"
	"testing"

	"ingest/internal/dbtest"
)

// TestErrors has the server say what the catalogue runs transactions again for.
func TestErrors(t *testing.T) {
	db := dbtest.Open(t, dbtest.Postgres(t))
	defer db.Close()
	d := dialect()
	for _, tt := range []struct {
		state                               string
		retryable, duplicate, lost, missing bool
	}{
		{state: "40001", retryable: true}, {state: "40P01", retryable: true}, {state: "55P03", retryable: true}, {state: "53300", retryable: true},
		{state: "23505", duplicate: true}, {state: "57P01", lost: true}, {state: "08006", lost: true}, {state: "42P01", missing: true}, {state: "42601"},
	} {
		_, err := db.ExecContext(t.Context(), fmt.Sprintf("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '%s'; END $$", tt.state))
		if err == nil {
			t.Fatalf("%s: no error", tt.state)
		}
		err = fmt.Errorf("wrapped: %w", err)
		if d.Retryable(err) != tt.retryable || d.Duplicate(err) != tt.duplicate || d.Lost(err) != tt.lost || d.Missing(err) != tt.missing {
			t.Errorf("%s is judged wrongly", tt.state)
		}
	}
}
