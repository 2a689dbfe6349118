package sqlcore

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"
)

// A Status is what a database holds of the schema.
type Status struct {
	Database string   `json:"database"` // the dialect's name
	Version  int64    `json:"version"`  // of the schema; 0 if there is none
	Known    int64    `json:"known"`    // the last version that this program knows
	Pending  []string `json:"pending"`  // migrations that are to be applied
	// Refused is why this program cannot work on the database.
	Refused string `json:"refused,omitempty"`
	Images  int64  `json:"images"` // rows, of deleted images too
	Deleted int64  `json:"deleted"`
	Tasks   int64  `json:"tasks"`
}

// Look reads the schema's version and counts rows, and changes nothing.
func Look(ctx context.Context, d Dialect, conn *sql.DB) (Status, error) {
	steps, err := migrations(files)
	if err != nil {
		return Status{}, err
	}
	s := Status{Database: d.Name, Known: int64(len(steps)), Pending: []string{}}
	db := bun.NewDB(conn, d.Bun)
	var applied []appliedRow
	if err := db.NewSelect().Model(&applied).Order("version").Scan(ctx); err != nil && !d.Missing(err) {
		return s, unavailable(ctx, err, "read the schema's version")
	}
	if err := known(applied, steps); err != nil {
		s.Refused = err.Error()
	}
	for _, row := range applied {
		if row.AppliedUS != 0 {
			s.Version = row.Version
		}
	}
	for _, step := range steps[min(s.Version, s.Known):] {
		s.Pending = append(s.Pending, step.name)
	}
	if s.Version == 0 || s.Refused != "" {
		return s, nil
	}
	for _, c := range []struct {
		n            *int64
		table, where string
	}{{&s.Images, "images", ""}, {&s.Deleted, "images", "status = 'deleted'"}, {&s.Tasks, "tasks", ""}} {
		q := db.NewSelect().Table(c.table)
		if c.where != "" {
			q.Where(c.where)
		}
		if *c.n, err = q.Count(ctx); err != nil {
			return s, unavailable(ctx, err, "count rows")
		}
	}
	return s, nil
}
