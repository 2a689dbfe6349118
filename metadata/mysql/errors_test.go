package mysql

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"ingest/internal/dbtest"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// TestErrors has the server say what the catalogue runs transactions again for.
func TestErrors(t *testing.T) {
	db := dbtest.Open(t, dbtest.MariaDB(t))
	defer db.Close()
	d := dialect()
	for _, tt := range []struct {
		number                                        int
		retryable, duplicate, lost, missing, repeated bool
	}{
		{number: 1213, retryable: true}, {number: 1205, retryable: true}, {number: 1020, retryable: true}, {number: 1040, retryable: true},
		{number: 1062, duplicate: true}, {number: 1053, lost: true}, {number: 1146, missing: true},
		{number: 1050, repeated: true}, {number: 1061, repeated: true}, {number: 1060, repeated: true}, {number: 1064},
	} {
		_, err := db.ExecContext(t.Context(), fmt.Sprintf("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = %d", tt.number))
		if err == nil {
			t.Fatalf("%d: no error", tt.number)
		}
		err = fmt.Errorf("wrapped: %w", err)
		if d.Retryable(err) != tt.retryable || d.Duplicate(err) != tt.duplicate || d.Lost(err) != tt.lost || d.Missing(err) != tt.missing || d.Repeated(err) != tt.repeated {
			t.Errorf("%d is judged wrongly", tt.number)
		}
	}
}

// TestTooLarge writes a record that the server, with its default settings, does not
// take. Trying again would never help.
func TestTooLarge(t *testing.T) {
	repo := open(t, dbtest.MariaDB(t))
	defer repo.Close()
	ctx := t.Context()
	err := repo.InTx(ctx, func(tx metadata.Tx) error {
		return tx.PutTask(ctx, metadata.Task{ID: "t", Result: json.RawMessage(`"` + strings.Repeat("x", 16<<20-2) + `"`)})
	})
	if errcode.Of(err) != errcode.BadRequest {
		t.Errorf("error %v", err)
	}
	if err := repo.InTx(ctx, func(tx metadata.Tx) error { return tx.PutTask(ctx, metadata.Task{ID: "t"}) }); err != nil {
		t.Error(err)
	}
}
