package sqlcore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite"

	"ingest/internal/errcode"
	"ingest/metadata"
)

var errBusy, errTwice = errors.New("busy"), errors.New("twice")

// plainDialect describes SQLite without the driver package, which imports this.
func plainDialect() Dialect {
	types := map[string]string{"lookup": "", "prefix": "", "int": "INTEGER", "bool": "BOOLEAN", "seq": "INTEGER PRIMARY KEY AUTOINCREMENT", "options": ""}
	for _, word := range []string{"id", "word", "name", "long", "text"} {
		types[word] = "TEXT"
	}
	return Dialect{
		Name: "test", Bun: sqlitedialect.New(), Types: types,
		Retryable: func(err error) bool { return errors.Is(err, errBusy) },
		Duplicate: func(err error) bool { return errors.Is(err, errTwice) },
	}
}

func newRepository(t *testing.T) *Repository {
	t.Helper()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	r, err := New(t.Context(), plainDialect(), db, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestMigrationFiles(t *testing.T) {
	steps, err := migrations(files)
	if err != nil || len(steps) == 0 {
		t.Fatalf("%d steps, %v", len(steps), err)
	}
	for _, step := range steps {
		if text := plainDialect().expand(step.text); strings.ContainsAny(text, "{}") {
			t.Errorf("migration %d uses a type word that the package comment does not list", step.version)
		}
	}
	for _, names := range [][]string{{"0002_a.sql"}, {"0001_a.sql", "0003_b.sql"}, {"0001_a.sql", "0001_b.sql"}, {"x_a.sql"}, {"0001.sql"}} {
		dir := fstest.MapFS{}
		for _, name := range names {
			dir["migrations/"+name] = &fstest.MapFile{Data: []byte("SELECT 1")}
		}
		if _, err := migrations(dir); err == nil {
			t.Errorf("files %v are taken", names)
		}
	}
}

// TestMigrateInSteps applies a second step later, and a broken one not at all.
func TestMigrateInSteps(t *testing.T) {
	r := newRepository(t)
	steps, err := migrations(files)
	if err != nil {
		t.Fatal(err)
	}
	next := int64(len(steps) + 1)
	run := func(text string) error {
		return r.dialect.exclusively(t.Context(), r.writer, func(s Session) error {
			return r.dialect.migrate(t.Context(), s, append(steps[:len(steps):len(steps)], migration{version: next, name: "next", text: text}))
		})
	}
	if err := run("CREATE TABLE extra (id {id} NOT NULL);\nNONSENSE;\n"); err == nil {
		t.Fatal("a broken migration is applied")
	}
	for range 2 { // the second time there is nothing left to do
		if err := run("CREATE TABLE extra (id {id} NOT NULL);\nINSERT INTO extra VALUES ('what?');\n"); err != nil {
			t.Fatal(err)
		}
	}
	var n int
	if err := r.writer.NewSelect().Table("extra").ColumnExpr("count(*)").Scan(t.Context(), &n); err != nil || n != 1 {
		t.Errorf("%d rows, %v; want 1", n, err)
	}
}

// TestStaleRow writes a row whose version another transaction has moved on.
func TestStaleRow(t *testing.T) {
	r := newRepository(t)
	ctx := t.Context()
	put := func(fn func(*tx) error) error {
		return r.InTx(ctx, func(mtx metadata.Tx) error { return fn(mtx.(*tx)) })
	}
	if err := put(func(x *tx) error { return x.PutTask(ctx, metadata.Task{ID: "t"}) }); err != nil {
		t.Fatal(err)
	}
	runs := 0
	err := put(func(x *tx) error {
		task, err := x.Task(ctx, "t")
		if err != nil {
			return err
		}
		if runs++; runs < 3 {
			// What a database of weak isolation would let another one do.
			if _, err := x.db.NewUpdate().Table("tasks").Set("row_version = row_version + 1").Where("id = 't'").Exec(ctx); err != nil {
				return err
			}
		}
		task.Restarts++
		return x.PutTask(ctx, task)
	})
	if err != nil || runs != 3 {
		t.Fatalf("%d runs, %v; want 3 runs", runs, err)
	}
	if err := put(func(x *tx) error {
		task, err := x.Task(ctx, "t")
		if task.Restarts != 1 {
			t.Errorf("%d restarts, want 1", task.Restarts)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestRetry(t *testing.T) {
	r := newRepository(t)
	tests := []struct {
		name string
		errs []error // one a run, then success
		runs int
		want errcode.Code
	}{
		{"at once", nil, 1, ""},
		{"busy thrice", []error{errBusy, errBusy, errBusy}, 4, ""},
		{"busy, wrapped", []error{errcode.Wrap(errBusy, errcode.CatalogueBusy, "x")}, 2, ""},
		{"duplicate once", []error{errTwice}, 2, ""},
		{"duplicate for ever", []error{errTwice, errTwice, errTwice, errTwice, errTwice, errTwice}, duplicateTries, errcode.Conflict},
		{"something else", []error{errcode.New(errcode.NotFound, "x")}, 1, errcode.NotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			runs := 0
			err := r.InTx(t.Context(), func(metadata.Tx) error {
				if runs++; runs <= len(tt.errs) {
					return tt.errs[runs-1]
				}
				return nil
			})
			if runs != tt.runs || errcode.Of(err) != tt.want {
				t.Errorf("%d runs, error %v; want %d runs and code %q", runs, err, tt.runs, tt.want)
			}
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	runs := 0
	err := r.InTx(ctx, func(metadata.Tx) error {
		if runs++; runs == 2 {
			stop()
		}
		return errBusy
	})
	if runs != 2 || err == nil {
		t.Errorf("%d runs after the context has ended, error %v", runs, err)
	}
}
