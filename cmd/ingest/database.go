package main

import (
	"context"

	"ingest/internal/config"
	"ingest/internal/embedded"
	"ingest/metadata"
	"ingest/metadata/mysql"
	"ingest/metadata/postgres"
	"ingest/metadata/sqlcore"
	"ingest/metadata/sqlite"
)

// catalogueFile is what the catalogue is called in the data folder.
const catalogueFile = "catalogue.db"

// openCatalogue opens the catalogue where the configuration says, with its schema
// brought up to date.
func openCatalogue(ctx context.Context, c *config.Server) (metadata.Repository, error) {
	var repo metadata.Repository
	var err error
	remedy := "See that the database " + c.Database.Name() + " is there and answers, and that the user may make tables in it; `ingest db status` tells what it holds."
	switch c.Database.Driver() {
	case "postgres":
		repo, err = postgres.Open(ctx, c.Database.URL, c.Database.Password)
	case "mysql":
		repo, err = mysql.Open(ctx, c.Database.URL, c.Database.Password)
	default:
		repo, err = sqlite.Open(c.Path(catalogueFile))
		remedy = "If the file is damaged, put a backup of catalogue.db in its place, or move it away to begin with an empty one."
	}
	if err != nil {
		return nil, notStarted(err, "the catalogue cannot be opened", remedy)
	}
	return repo, nil
}

// hold keeps a second server from a database where both have a workflow service of
// their own: each would take up the other one's tasks.
func (s *services) hold(ctx context.Context, repo metadata.Repository) error {
	r, ok := repo.(interface {
		Hold(ctx context.Context, lost func(error)) (func(), error)
	})
	if !ok || s.c.Temporal != "" || !embedded.Available {
		return nil
	}
	release, err := r.Hold(ctx, func(err error) {
		select {
		case s.fatal <- err:
		default: // it ends for another reason
		}
	})
	if err != nil {
		return notStarted(err, "the database is taken", "Servers that share a database share a Temporal service: name it with --temporal. If the other one's machine is gone, try again in a minute.")
	}
	s.onClose(release)
	return nil
}

// catalogueStatus tells of the catalogue's schema, and changes nothing.
func catalogueStatus(ctx context.Context, c *config.Server) (sqlcore.Status, error) {
	switch c.Database.Driver() {
	case "postgres":
		return postgres.Status(ctx, c.Database.URL, c.Database.Password)
	case "mysql":
		return mysql.Status(ctx, c.Database.URL, c.Database.Password)
	}
	return sqlite.Status(ctx, c.Path(catalogueFile))
}
