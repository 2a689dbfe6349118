package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"ingest/metadata/sqlcore"
)

// Status tells of the schema in a file, and changes nothing. There must be a file.
func Status(ctx context.Context, path string) (sqlcore.Status, error) {
	db, err := existing(path, readerOptions)
	if err != nil {
		return sqlcore.Status{}, err
	}
	s, err := sqlcore.Look(ctx, dialect(), db)
	return s, errors.Join(err, db.Close())
}

// Backup writes what the catalogue in a file holds at this moment into another file,
// which must not exist, while others read and write the catalogue. The copy is whole
// when it gets its name, readable to its owner only.
func Backup(ctx context.Context, path, to string) (err error) {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("back up to %s: %w", to, os.ErrExist)
	}
	db, err := existing(path, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	// A folder of its own keeps the copy, and its journal, from everybody else.
	dir, err := os.MkdirTemp(filepath.Dir(to), ".backup-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	part := filepath.Join(dir, "catalogue.db")
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
		return fmt.Errorf("back up %s: %w", path, err)
	}
	if err := sound(ctx, part); err != nil {
		return fmt.Errorf("back up %s: the copy is not whole: %w", path, err)
	}
	if err := os.Chmod(part, 0o600); err != nil {
		return err
	}
	f, err := os.OpenFile(part, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := publish(part, to); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(to))
}

// publish gives a file its name. A link, unlike another name, does not replace what
// came there meanwhile; not every file system has links.
func publish(part, to string) error {
	err := os.Link(part, to)
	if err == nil || errors.Is(err, os.ErrExist) {
		return err
	}
	return os.Rename(part, to)
}

// existing opens a file that is there.
func existing(path, options string) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(abs); err != nil {
		return nil, err
	}
	name := url.URL{Scheme: "file", Path: abs}
	return pool(name.String()+"?mode=rw&"+common()+options, 1)
}

// sound asks SQLite whether a file is whole.
func sound(ctx context.Context, path string) error {
	db, err := existing(path, readerOptions)
	if err != nil {
		return err
	}
	var said string
	err = db.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&said)
	if err == nil && said != "ok" {
		err = errors.New(said)
	}
	return errors.Join(err, db.Close())
}
