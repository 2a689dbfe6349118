package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"ingest/metadata"
	"ingest/metadata/sqlcore"
)

// Memory is the path of a catalogue that lives as long as its Repository. Each
// Open of it is a catalogue of its own.
const Memory = ":memory:"

const (
	// busyTimeout is how long a statement waits for another process's lock.
	busyTimeout = 10 * time.Second
	// readers is how many connections read beside the writer; more of them
	// would only share the same few cores.
	readers = 4

	// The writer alone turns the file to WAL mode, before anybody reads.
	writerOptions = "&_journal_mode=WAL&_txlock=immediate"
	readerOptions = "&_query_only=1"
	// A list looks at some thousand rows here and there in a large catalogue: a reader's
	// cache of 16 MiB holds where they are. SQLite's own has 2 MiB.
	readerCache = "&_pragma=cache_size(-16384)"
)

// Open opens the catalogue in the file at path, and makes the file, readable
// to its owner only, if there is none; its folder must exist. The schema is
// brought up to date; a file that a later ingest has written is refused.
func Open(path string) (metadata.Repository, error) {
	if path == Memory {
		return openMemory()
	}
	dsn, err := prepare(path)
	if err != nil {
		return nil, fmt.Errorf("open catalogue %s: %w", path, err)
	}
	writer, err := pool(dsn+writerOptions, 1)
	if err != nil {
		return nil, fmt.Errorf("open catalogue %s: %w", path, err)
	}
	reader, err := pool(dsn+readerOptions+readerCache, readers)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open catalogue %s: %w", path, err), writer.Close())
	}
	repo, err := sqlcore.New(context.Background(), dialect(), writer, reader)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open catalogue %s: %w", path, err), writer.Close(), reader.Close())
	}
	return repo, nil
}

// prepare makes sure that the file exists and returns its data source name.
func prepare(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, os.ErrExist):
	case err != nil:
		return "", err
	default:
		if err := errors.Join(f.Close(), syncFolder(filepath.Dir(abs))); err != nil {
			return "", err
		}
	}
	name := url.URL{Scheme: "file", Path: abs}
	return name.String() + "?_synchronous=FULL&" + common(), nil
}

// syncFolder makes the name of a new file survive a loss of power.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func common() string {
	return fmt.Sprintf("_busy_timeout=%d&_foreign_keys=1", busyTimeout.Milliseconds())
}

// pool returns a pool of up to n connections that stay open.
func pool(dsn string, n int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// memory is a repository whose database would vanish with its last connection.
type memory struct {
	*sqlcore.Repository
	anchor *sql.DB
}

// openMemory makes a database in memory that all connections of the pool share,
// with one more that is never used: the pool may drop a connection at any time.
func openMemory() (metadata.Repository, error) {
	dsn := "file:/" + uuid.NewString() + "?vfs=memdb&_txlock=immediate&" + common()
	anchor, err := pool(dsn, 1)
	if err != nil {
		return nil, err
	}
	if err := anchor.Ping(); err != nil {
		return nil, errors.Join(err, anchor.Close())
	}
	writer, err := pool(dsn, 1)
	if err != nil {
		return nil, errors.Join(err, anchor.Close())
	}
	repo, err := sqlcore.New(context.Background(), dialect(), writer, nil)
	if err != nil {
		return nil, errors.Join(err, writer.Close(), anchor.Close())
	}
	return &memory{repo, anchor}, nil
}

func (m *memory) Close() error { return errors.Join(m.Repository.Close(), m.anchor.Close()) }

func dialect() sqlcore.Dialect {
	return sqlcore.Dialect{
		Name: "SQLite",
		Bun:  sqlitedialect.New(),
		Types: map[string]string{
			"id": "TEXT", "word": "TEXT", "name": "TEXT", "long": "TEXT", "text": "TEXT",
			"int": "INTEGER", "bool": "BOOLEAN",
			"seq": "INTEGER PRIMARY KEY AUTOINCREMENT", "lookup": "", "prefix": "", "options": "",
		},
		Using: func(index string) string { return "INDEXED BY " + index },
		Retryable: func(err error) bool {
			primary := code(err) & 0xff
			return primary == lib.SQLITE_BUSY || primary == lib.SQLITE_LOCKED
		},
		Missing: func(err error) bool {
			return code(err) == lib.SQLITE_ERROR && strings.Contains(err.Error(), "no such table")
		},
		Duplicate: func(err error) bool {
			c := code(err)
			return c == lib.SQLITE_CONSTRAINT_UNIQUE || c == lib.SQLITE_CONSTRAINT_PRIMARYKEY
		},
	}
}

// code returns the extended result code of SQLite, 0 for another error.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}
