package sqlcore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/uptrace/bun"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// Bounds of trying a transaction again.
const (
	// retryFor is how long a transaction is tried before it is given up; an
	// activity that is told so tries again by itself.
	retryFor = 30 * time.Second
	// retryPause is the longest pause between two tries.
	retryPause = 250 * time.Millisecond
	// duplicateTries is how often a violated unique index may be somebody
	// else's row that a second run sees. After that it is fn's own doing.
	duplicateTries = 4
)

var (
	errCommit = errors.New("commit")
	// errStale says that a row was changed after this transaction had read it.
	errStale = errors.New("row was changed by another transaction")
	// errUnsure says that the connection was lost in the commit, which may have
	// happened or not: a second run could do everything twice.
	errUnsure = errors.New("the connection to the database was lost in a commit")
)

// A Repository is a catalogue in an SQL database.
type Repository struct {
	dialect Dialect
	writer  *bun.DB
	reader  *bun.DB // the writer where a database has no use for two
}

var (
	_ metadata.Repository = (*Repository)(nil)
	_ metadata.Viewer     = (*Repository)(nil)
)

// New returns the repository in the database behind writer, after bringing its
// schema up to date. reader may be nil. Close closes both; if New fails, the
// caller does.
func New(ctx context.Context, d Dialect, writer, reader *sql.DB) (*Repository, error) {
	steps, err := migrations(files)
	if err != nil {
		return nil, err
	}
	r := &Repository{dialect: d, writer: bun.NewDB(writer, d.Bun)}
	r.reader = r.writer
	if reader != nil {
		r.reader = bun.NewDB(reader, d.Bun)
	}
	err = r.retry(ctx, func() error {
		return d.exclusively(ctx, r.writer, func(s Session) error { return d.migrate(ctx, s, steps) })
	})
	if err != nil {
		return nil, fmt.Errorf("prepare %s catalogue: %w", d.Name, err)
	}
	return r, nil
}

// Close closes the database.
func (r *Repository) Close() error {
	err := r.writer.Close()
	if r.reader != r.writer {
		err = errors.Join(r.reader.Close(), err)
	}
	return err
}

// InTx runs fn in one serialisable transaction; see metadata.Repository. fn must
// not call InTx or View itself.
func (r *Repository) InTx(ctx context.Context, fn func(metadata.Tx) error) error {
	return r.run(ctx, r.writer, false, fn)
}

// View runs fn on one consistent state; see metadata.Viewer.
func (r *Repository) View(ctx context.Context, fn func(metadata.Tx) error) error {
	return r.run(ctx, r.reader, true, fn)
}

func (r *Repository) run(ctx context.Context, db *bun.DB, readOnly bool, fn func(metadata.Tx) error) error {
	opts := &sql.TxOptions{Isolation: r.dialect.isolation(), ReadOnly: readOnly}
	return r.retry(ctx, func() error {
		fromFn := false
		err := within(ctx, db, opts, func(btx bun.Tx) error {
			if r.dialect.Lock != "" && !readOnly {
				if _, err := btx.Tx.ExecContext(ctx, r.dialect.Lock); err != nil {
					return err
				}
			}
			err := fn(&tx{db: btx, dialect: r.dialect, readOnly: readOnly, versions: map[string]int64{}, copies: map[string][]metadata.Copy{}, marks: map[string]marked{}})
			fromFn = err != nil
			return err
		})
		if err == nil || fromFn {
			return err
		}
		if errors.Is(err, errCommit) && r.dialect.lost(err) {
			err = errors.Join(errUnsure, err)
		}
		return unavailable(ctx, err, "run transaction")
	})
}

// within runs fn between begin and commit.
func within(ctx context.Context, db *bun.DB, opts *sql.TxOptions, fn func(bun.Tx) error) error {
	btx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	// After a commit this does nothing. It also runs when fn panics, so that
	// the one connection for writing is not lost.
	defer btx.Rollback()
	if err := fn(btx); err != nil {
		return err
	}
	if err := btx.Commit(); err != nil {
		return fmt.Errorf("%w: %w", errCommit, err)
	}
	return nil
}

// retry runs try until it succeeds or another run cannot help.
func (r *Repository) retry(ctx context.Context, try func() error) error {
	deadline := time.Now().Add(retryFor)
	pause := time.Millisecond
	duplicates := 0
	for {
		err := try()
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case r.dialect.Duplicate(err):
			if duplicates++; duplicates >= duplicateTries {
				return errcode.Wrap(err, errcode.Conflict, "another record has this id or idempotency key")
			}
		case r.dialect.TooLarge != nil && r.dialect.TooLarge(err):
			return errcode.Wrap(err, errcode.BadRequest, "the record is longer than the database takes")
		case errors.Is(err, errUnsure):
			return err
		case !errors.Is(err, errStale) && !r.dialect.Retryable(err) && !r.dialect.lost(err):
			return err
		}
		if time.Now().After(deadline) {
			return errcode.Wrap(err, errcode.CatalogueBusy, "catalogue stayed busy for %v", retryFor)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		// Random, so that those who collided do not collide again.
		case <-time.After(rand.N(pause) + pause/2):
		}
		pause = min(2*pause, retryPause)
	}
}

// unavailable turns an error of the database into one that the catalogue's
// callers know. What carries a code, and the context's own error, stay.
func unavailable(ctx context.Context, err error, what string) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, ok := errcode.As(err); ok {
		return err
	}
	return errcode.Wrap(err, errcode.CatalogueBusy, "%s", what)
}
