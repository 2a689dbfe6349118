package postgres

import (
	"strings"
	"testing"

	"ingest/internal/dbtest"
)

// A database of another encoding keeps names as something else.
func TestEncoding(t *testing.T) {
	url := dbtest.Postgres(t)
	dbtest.Exec(t, url, "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
	at := strings.LastIndex(url, "/")
	repo, err := Open(t.Context(), url[:at]+"/latin?sslmode=disable", "")
	if err == nil {
		repo.Close()
		t.Fatal("it was opened")
	}
	if !strings.Contains(err.Error(), "has encoding LATIN1") {
		t.Errorf("error %v", err)
	}
}

// TestSettings asks the connections for what the catalogue rests on.
func TestSettings(t *testing.T) {
	url := dbtest.Postgres(t)
	writer, reader, err := connect(t.Context(), url, "")
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	defer reader.Close()
	for name, want := range map[string]string{
		"lock_timeout": "10s", "idle_in_transaction_session_timeout": "30s", "client_encoding": "UTF8", "standard_conforming_strings": "on", "application_name": "ingest",
	} {
		var got string
		if err := writer.QueryRowContext(t.Context(), "SHOW "+name).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", name, got, err, want)
		}
	}
}
