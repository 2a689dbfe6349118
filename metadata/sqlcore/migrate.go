package sqlcore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

//go:embed migrations/*.sql
var files embed.FS

// A migration is one numbered step of the schema. A released one never changes.
type migration struct {
	version int64 // from 1, without gaps
	name    string
	text    string
	// fill writes what the new tables hold of the rows that are there. It may run
	// again after it was cut. nil for nothing.
	fill func(ctx context.Context, s Session) error
}

// fills are those of the migrations that have one, by version.
func fills(version int64) func(context.Context, Session) error {
	if version == imageListsVersion {
		return fillImageLists
	}
	return nil
}

// migrations reads the embedded steps in order. Files are named NNNN_name.sql.
func migrations(dir fs.FS) ([]migration, error) {
	names, err := fs.Glob(dir, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	var out []migration
	for i, path := range names {
		number, name, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(path, "migrations/"), ".sql"), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil || version != int64(i+1) || name == "" {
			return nil, fmt.Errorf("migration %s: want number %04d and a name", path, i+1)
		}
		text, err := fs.ReadFile(dir, path)
		if err != nil {
			return nil, err
		}
		out = append(out, migration{version, name, string(text), fills(version)})
	}
	return out, nil
}

// appliedRow is one line of the table of what was applied.
type appliedRow struct {
	bun.BaseModel `bun:"table:catalogue_migrations"`

	Version   int64  `bun:"version,pk"`
	Name      string `bun:"name"`
	AppliedUS int64  `bun:"applied_us"`
}

const appliedTable = `CREATE TABLE IF NOT EXISTS catalogue_migrations (
	version {int} NOT NULL PRIMARY KEY,
	name {name} NOT NULL,
	applied_us {int} NOT NULL
){options}`

// migrate brings the schema up to the last of steps, or refuses a database that
// a later program has written.
func (d Dialect) migrate(ctx context.Context, s Session, steps []migration) error {
	if err := s.Exec(ctx, d.expand(appliedTable)); err != nil {
		return fmt.Errorf("create table of migrations: %w", err)
	}
	applied, err := readApplied(ctx, s)
	if err != nil {
		return err
	}
	if err := known(applied, steps); err != nil {
		return err
	}
	for i, step := range steps {
		begun := i < len(applied)
		if begun && applied[i].AppliedUS != 0 {
			continue
		}
		if err := d.apply(ctx, s, step, begun); err != nil {
			return fmt.Errorf("apply migration %04d_%s: %w", step.version, step.name, err)
		}
	}
	return nil
}

// MigrateTo makes, in the empty database behind conn, the schema of an earlier version,
// as the program has left it that knew no later one. Upgrades are tested with it.
func MigrateTo(ctx context.Context, d Dialect, conn *sql.DB, version int64) error {
	steps, err := migrations(files)
	if err != nil {
		return err
	}
	if version < 0 || version > int64(len(steps)) {
		return fmt.Errorf("there is no schema version %d", version)
	}
	return d.exclusively(ctx, bun.NewDB(conn, d.Bun), func(s Session) error { return d.migrate(ctx, s, steps[:version]) })
}

func readApplied(ctx context.Context, db bun.IDB) ([]appliedRow, error) {
	var applied []appliedRow
	if err := db.NewSelect().Model(&applied).Order("version").Scan(ctx); err != nil {
		return nil, fmt.Errorf("read table of migrations: %w", err)
	}
	return applied, nil
}

// known refuses a database that another program has written.
func known(applied []appliedRow, steps []migration) error {
	for i, row := range applied {
		if i >= len(steps) {
			last := applied[len(applied)-1]
			return fmt.Errorf("the catalogue has schema version %d (%s), this program knows versions up to %d: start the version of ingest that wrote it, or a later one", last.Version, last.Name, len(steps))
		}
		if row.Version != steps[i].version || row.Name != steps[i].name {
			return fmt.Errorf("the catalogue's schema version %d is %q, this program knows it as %q: it was written by another program", row.Version, row.Name, steps[i].name)
		}
	}
	return nil
}

// apply runs one step. Where each statement commits by itself (Repeated), its row
// is written first, without a time: what finds such a row goes on with a step that
// was killed in its middle, and only then takes tables that are there for its own.
func (d Dialect) apply(ctx context.Context, s Session, step migration, begun bool) error {
	row := appliedRow{Version: step.version, Name: step.name}
	if d.Repeated == nil {
		row.AppliedUS = time.Now().UnixMicro()
	}
	if !begun {
		if _, err := s.NewInsert().Model(&row).Exec(ctx); err != nil {
			return err
		}
	}
	done := 0
	for _, statement := range strings.Split(d.expand(step.text), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		err := s.Exec(ctx, statement)
		if err != nil && begun && d.Repeated != nil && d.Repeated(err) {
			err = nil
		}
		if err != nil && done == 0 && !begun && d.Repeated != nil {
			// Nothing has happened: what is there is not ours.
			_, undo := s.NewDelete().Model(&row).WherePK().Exec(ctx)
			return errors.Join(err, undo)
		}
		if err != nil {
			return err
		}
		done++
	}
	if step.fill != nil {
		if err := step.fill(ctx, s); err != nil {
			return err
		}
	}
	if d.Repeated == nil {
		return nil
	}
	row.AppliedUS = time.Now().UnixMicro()
	_, err := s.NewUpdate().Model(&row).WherePK().Exec(ctx)
	return err
}
