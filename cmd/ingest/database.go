package main

import (
	"context"

	"ingest/internal/config"
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
