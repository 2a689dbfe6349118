package sqlcore

import (
	"context"
	"embed"
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
		out = append(out, migration{version, name, string(text)})
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
// a later program has written. It runs in tx as a whole.
func (d Dialect) migrate(ctx context.Context, tx bun.Tx, steps []migration) error {
	if _, err := tx.Tx.ExecContext(ctx, d.expand(appliedTable)); err != nil {
		return fmt.Errorf("create table of migrations: %w", err)
	}
	var applied []appliedRow
	if err := tx.NewSelect().Model(&applied).Order("version").Scan(ctx); err != nil {
		return fmt.Errorf("read table of migrations: %w", err)
	}
	for i, row := range applied {
		if i >= len(steps) {
			last := applied[len(applied)-1]
			return fmt.Errorf("the catalogue has schema version %d (%s), this program knows versions up to %d: start the version of ingest that wrote it, or a later one", last.Version, last.Name, len(steps))
		}
		if row.Version != steps[i].version || row.Name != steps[i].name {
			return fmt.Errorf("the catalogue's schema version %d is %q, this program knows it as %q: it was written by another program", row.Version, row.Name, steps[i].name)
		}
	}
	for _, step := range steps[len(applied):] {
		if err := d.apply(ctx, tx, step); err != nil {
			return fmt.Errorf("apply migration %04d_%s: %w", step.version, step.name, err)
		}
	}
	return nil
}

func (d Dialect) apply(ctx context.Context, tx bun.Tx, step migration) error {
	for _, statement := range strings.Split(d.expand(step.text), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		// The embedded *sql.Tx: bun would look for arguments in the text.
		if _, err := tx.Tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	row := appliedRow{Version: step.version, Name: step.name, AppliedUS: time.Now().UnixMicro()}
	_, err := tx.NewInsert().Model(&row).Exec(ctx)
	return err
}
