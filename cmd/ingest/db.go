package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/internal/config"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/metadata/sqlcore"
	"ingest/metadata/sqlite"
)

// defaultPurgeAge is how long the records of deleted images stay, as in Glance.
const defaultPurgeAge = 30 * 24 * time.Hour

func newDBCommand(g *globals) *cobra.Command {
	return group("db", "Look after the database that keeps the catalogue",
		"  ingest db status --database postgres://ingest@db.example.net/ingest\n  ingest db backup /var/backups/catalogue.db",
		newDBStatusCommand(g), newDBMigrateCommand(g), newDBPurgeCommand(g), newDBBackupCommand(g),
		newDBLoadMetadefsCommand(g), newDBExportMetadefsCommand(g))
}

// dbFlags declares the flags that say where the catalogue is, which are those of serve.
func dbFlags(cmd *cobra.Command) *config.Server {
	c := &config.Server{}
	cmd.Flags().StringVar(&c.DataDir, "data-dir", "./ingest-data", "folder that holds the catalogue, without --database")
	c.Database.Flags(cmd.Flags())
	return c
}

// located reads what the flags leave to the environment, and checks it.
func located(cmd *cobra.Command, c *config.Server) error {
	err := config.Env(cmd.Flags())
	if err == nil {
		err = c.Database.Check()
	}
	if e, ok := errcode.As(err); ok {
		return cli.Usage(cmd, "%s", e.Message)
	}
	if err != nil {
		return err
	}
	if c.DataDir, err = filepath.Abs(c.DataDir); err != nil || c.Database.URL != "" {
		return err
	}
	if _, err := os.Stat(c.Path(catalogueFile)); err != nil {
		return cli.Usage(cmd, "there is no catalogue in %s: name its folder with --data-dir, or its database with --database", c.DataDir)
	}
	return nil
}

func newDBStatusCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say which schema the database holds, and whether this program can work on it",
		Long: `Say which schema the database holds, and whether this program can work on it. Changes
nothing. The exit code is 1 if the database was written by a later version of ingest, or
by another program.`,
		Example: "  ingest db status\n  ingest db status --database mysql://ingest@db.example.net/ingest --json",
		Args:    cli.Args(cobra.NoArgs),
	}
	c := dbFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := located(cmd, c); err != nil {
			return err
		}
		s, err := catalogueStatus(cmd.Context(), c)
		if err != nil {
			return reported(cmd, g, notStarted(err, "the catalogue cannot be read", "See that the database is there and answers."))
		}
		if g.json {
			err = cli.PrintJSON(cmd.OutOrStdout(), s)
		} else {
			err = printStatus(cmd.OutOrStdout(), s)
		}
		if err == nil && s.Refused != "" {
			return cli.ErrReported
		}
		return err
	}
	return cmd
}

func printStatus(out io.Writer, s sqlcore.Status) error {
	pending := "none"
	if len(s.Pending) > 0 {
		pending = strings.Join(s.Pending, ", ")
	}
	rows := [][]string{
		{"database", s.Database}, {"schema", fmt.Sprintf("%d of %d", s.Version, s.Known)}, {"to migrate", pending},
		{"images", fmt.Sprintf("%d, of these %d deleted", s.Images, s.Deleted)}, {"tasks", fmt.Sprint(s.Tasks)},
	}
	if s.Refused != "" {
		rows = append(rows, []string{"refused", s.Refused})
	}
	for _, row := range rows {
		if _, err := fmt.Fprintf(out, "%-12s%s\n", row[0], cli.Clean(row[1])); err != nil {
			return err
		}
	}
	return nil
}

func newDBMigrateCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the schema up to date, as every start of the server does",
		Long: `Bring the schema up to date, as every start of the server does. Servers and this command
that run at once take turns. There is no way back to an older schema but a backup.`,
		Example: "  ingest db migrate --database postgres://ingest@db.example.net/ingest",
		Args:    cli.Args(cobra.NoArgs),
	}
	c := dbFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := located(cmd, c); err != nil {
			return err
		}
		repo, err := openCatalogue(cmd.Context(), c)
		if err != nil {
			return reported(cmd, g, err)
		}
		if err := repo.Close(); err != nil {
			return err
		}
		s, err := catalogueStatus(cmd.Context(), c)
		if err != nil {
			return err
		}
		if g.json {
			return cli.PrintJSON(cmd.OutOrStdout(), s)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "the schema is version %d\n", s.Version)
		return err
	}
	return cmd
}

func newDBPurgeCommand(g *globals) *cobra.Command {
	age, limit, dry := defaultPurgeAge, 0, false
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "Remove the records of images that were deleted long ago",
		Long: `Remove the records of images that were deleted long ago, with their locations and
provenance. Their bytes went when they were deleted. Safe while servers work. Afterwards
their ids can be used again, by whoever may choose ids.`,
		Example: "  ingest db purge --dry-run\n  ingest db purge --older-than 720h --max 10000",
		Args:    cli.Args(cobra.NoArgs),
	}
	c := dbFlags(cmd)
	cmd.Flags().DurationVar(&age, "older-than", age, "how long ago they must have been deleted")
	cmd.Flags().IntVar(&limit, "max", 0, "remove at most so many (0: all)")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only count them")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if age < 0 || limit < 0 {
			return cli.Usage(cmd, "--older-than and --max are not less than 0")
		}
		if err := located(cmd, c); err != nil {
			return err
		}
		ctx, stop := interruptible(cmd)
		defer stop()
		repo, err := openCatalogue(ctx, c)
		if err != nil {
			return reported(cmd, g, err)
		}
		defer repo.Close()
		n, err := metadata.New(repo).PurgeImages(ctx, time.Now().Add(-age), limit, dry)
		if err != nil {
			return err
		}
		if g.json {
			return cli.PrintJSON(cmd.OutOrStdout(), map[string]any{"images": n, "dry_run": dry})
		}
		what := "removed"
		if dry {
			what = "would be removed"
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d records of deleted images %s\n", n, what)
		return err
	}
	return cmd
}

func newDBBackupCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the catalogue's file as it is at this moment, while the server works",
		Long: `Copy the catalogue's file as it is at this moment, while the server works. FILE must not
exist; it is whole when it has its name, and can stand in the place of catalogue.db.
Catalogues on database servers are backed up with pg_dump or mariadb-dump
--single-transaction.`,
		Example: "  ingest db backup /var/backups/catalogue-2026-03-01.db --data-dir /srv/ingest",
		Args:    cli.Args(cobra.ExactArgs(1)),
	}
	c := dbFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := located(cmd, c); err != nil {
			return err
		}
		if c.Database.URL != "" {
			return cli.Usage(cmd, "a catalogue on a database server is backed up with that server's own tools: pg_dump, or mariadb-dump --single-transaction")
		}
		ctx, stop := interruptible(cmd)
		defer stop()
		if err := sqlite.Backup(ctx, c.Path(catalogueFile), args[0]); err != nil {
			return reported(cmd, g, notStarted(err, "the backup was not made", "Choose a FILE that does not exist, in a folder that may be written."))
		}
		st, err := os.Stat(args[0])
		if err != nil {
			return err
		}
		if g.json {
			return cli.PrintJSON(cmd.OutOrStdout(), map[string]any{"file": args[0], "bytes": st.Size()})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s holds the catalogue, %d bytes\n", args[0], st.Size())
		return err
	}
	return cmd
}
