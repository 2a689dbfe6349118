//go:build !noembed && unix

package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"go.temporal.io/server/common/config"
	sqliteschema "go.temporal.io/server/schema/sqlite"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

const dbName = "temporal.db"

// maxFullCheck is the size up to which every page of the file is checked at
// the start, bytes. Reading a larger one would delay the return of interrupted
// imports by seconds; of such a file only the tables are looked at.
const maxFullCheck = 64 << 20

// parts are the suffixes of an SQLite database's files.
func parts() []string { return []string{"", "-wal", "-shm"} }

// prepareFile makes sure that dir holds a file that this server can open, made
// by this very version of it. It returns what it did if it moved an old file
// aside. The caller holds the lock.
func prepareFile(ctx context.Context, dir string, cfg *config.SQL) (*Recreated, error) {
	path := filepath.Join(dir, dbName)
	have, want := readStamp(dir), thisServer()
	var moved *Recreated
	switch _, err := os.Stat(path); {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("look at %s: %w", path, err)
	default:
		reason, err := unusable(ctx, path, have, want)
		if err != nil {
			return nil, err
		}
		if reason == "" {
			return nil, nil
		}
		// Without its stamp, a file that is only half moved after a crash is
		// not taken for a good one.
		if err := removeIfThere(filepath.Join(dir, stampName)); err != nil {
			return nil, err
		}
		to, err := moveAside(dir, have.label())
		if err != nil {
			return nil, err
		}
		moved = &Recreated{Reason: reason, Old: have.String(), New: want.String(), MovedTo: to}
	}
	// A log without its database would be replayed into the next one.
	for _, p := range parts()[1:] {
		if err := removeIfThere(path + p); err != nil {
			return nil, err
		}
	}
	// The stamp comes last: without it, a file left half made by a crash is
	// made again at the next start.
	if err := removeIfThere(filepath.Join(dir, stampName)); err != nil {
		return nil, err
	}
	if err := createFile(path, cfg); err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	return moved, writeStamp(dir, want)
}

// createFile makes an empty database with the server's schema. It names owners
// and sources, so that only this user may read it; SQLite gives the log the
// same mode.
func createFile(path string, cfg *config.SQL) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return sqliteschema.SetupSchema(cfg)
}

// unusable returns why the file must be made again, "" if it need not be. An
// error means that it cannot be told, and that the file must stay.
func unusable(ctx context.Context, path string, have, want stamp) (string, error) {
	if have == (stamp{}) {
		return "it is not known which version of Temporal made the file", nil
	}
	if have != want {
		return fmt.Sprintf("the file was made by Temporal %v and this is %v, which cannot read it", have, want), nil
	}
	err := checkFile(ctx, path)
	var damage *sqlite.Error
	switch {
	case err == nil:
		return "", nil
	case errors.Is(err, errDamaged):
		return fmt.Sprintf("the file is damaged: %v", err), nil
	case errors.As(err, &damage) && (damage.Code()&0xff == sqlitelib.SQLITE_CORRUPT || damage.Code()&0xff == sqlitelib.SQLITE_NOTADB):
		return fmt.Sprintf("the file is damaged: %v", err), nil
	}
	return "", fmt.Errorf("check %s: %w", path, err)
}

// errDamaged is what checkFile returns if the database itself says so.
var errDamaged = errors.New("database check failed")

// checkFile opens the database, which replays its log, and looks at it.
func checkFile(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", "file:"+escape(path)+"?mode=rw&_pragma=busy_timeout=10000")
	if err != nil {
		return err
	}
	defer db.Close()
	var tables int
	const query = `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('namespaces', 'executions', 'executions_visibility', 'cluster_metadata_info')`
	if err := db.QueryRowContext(ctx, query).Scan(&tables); err != nil {
		return err
	}
	if tables != 4 {
		return fmt.Errorf("%w: %d of 4 main tables are there", errDamaged, tables)
	}
	if st, err := os.Stat(path); err != nil || st.Size() > maxFullCheck {
		return err
	}
	var verdict string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, verdict)
	}
	return nil
}

// moveAside renames the database to temporal.db.<label>.bak, after removing
// what an earlier call left.
func moveAside(dir, label string) (string, error) {
	old, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("list %s: %w", dir, err)
	}
	for _, e := range old {
		if strings.HasPrefix(e.Name(), dbName+".") && strings.Contains(e.Name(), ".bak") {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return "", fmt.Errorf("remove older copy: %w", err)
			}
		}
	}
	to := filepath.Join(dir, dbName+"."+label+".bak")
	// The log goes first: should this be cut short, the next start finds a
	// database that still needs moving.
	for _, p := range []string{"-wal", "-shm", ""} {
		err := os.Rename(filepath.Join(dir, dbName+p), to+p)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("move old file aside: %w", err)
		}
	}
	return to, nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// escape writes a path so that it stands in an SQLite URI.
func escape(path string) string { return (&url.URL{Path: path}).EscapedPath() }
