package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/progress"
	"ingest/internal/quota"
	"ingest/internal/space"
	"ingest/metadata"
)

// quotasEvery is how soon a changed quota file is in force.
const quotasEvery = 2 * time.Second

// spareRoom is what imports leave of each disk, bytes: for the catalogue, and for the
// workflows of the embedded Temporal.
const spareRoom = 32 << 20

// openQuotas reads the quotas, and opens the catalogue that keeps them.
func (s *services) openQuotas(repo metadata.Repository) error {
	q, err := quota.Open(s.c.Quota.File, s.c.Quota.Default, s.log)
	if err != nil {
		return notStarted(err, "the quotas cannot be used", "Correct the file that --quotas names.")
	}
	s.quotas = q
	s.catalogue = metadata.New(repo, metadata.WithQuotas(q.Of), metadata.WithDelayedDelete(s.c.Keep.DelayedDelete), metadata.WithTaskTTL(s.c.Keep.TaskTTL),
		metadata.WithSharing(metadata.Sharing(s.c.Stores.Once)))
	return nil
}

// keepSpace has the pipeline ask for space before it uses any.
func (s *services) keepSpace() {
	s.space = &space.Keeper{Spare: spareRoom, Catalogue: s.catalogue, Stores: s.pipeline.Stores, StagingDir: s.pipeline.StagingDir, Host: s.pipeline.HostQueue}
	s.pipeline.Space = s.space
}

// watchQuotas reads the quotas again when their file changes.
func (s *services) watchQuotas(ctx context.Context) { go s.quotas.Run(ctx, quotasEvery) }

func newQuotaCommand(g *globals) *cobra.Command {
	return group("quota", "Show what a project uses, and what it may use", "  ingest quota show acme", newQuotaShowCommand(g))
}

func newQuotaShowCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "show [PROJECT]",
		Short: "Show what a project uses, and what it may use",
		Long: `Show what a project uses, and what it may use: PROJECT, or that of --project.

What is promised to running imports counts as used. The limits are those of
ingest serve: --quotas, --quota-images, --quota-image-bytes, --quota-stage-bytes,
--quota-uploading. An image that waits for its bytes is one too.`,
		Example: `  ingest quota show
  ingest quota show acme --json`,
		Args: cli.Args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				g.project = args[0]
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			got, err := c.Quotas(cmd.Context())
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), got)
			}
			return printQuotas(cmd.OutOrStdout(), got)
		},
	}
}

func printQuotas(out io.Writer, q wire.QuotaList) error {
	var rows [][]string
	for _, x := range q.Quotas {
		used, limit := quotaCell(x.Usage, x.Unit), "unlimited"
		share := ""
		if x.Limit >= 0 {
			limit = quotaCell(x.Limit, x.Unit)
		}
		if x.Limit > 0 {
			share = fmt.Sprintf("%.0f %%", 100*float64(x.Usage)/float64(x.Limit))
		}
		rows = append(rows, []string{x.Name, used, limit, share})
	}
	if err := cli.Table(out, []string{"QUOTA", ">USED", ">LIMIT", ">SHARE"}, rows); err != nil {
		return err
	}
	if q.Reserved > 0 {
		fmt.Fprintf(out, "\n%s of %s are promised to running imports\n", progress.Bytes(q.Reserved), metadata.QuotaImageBytes)
	}
	return nil
}

func quotaCell(n int64, unit string) string {
	if unit == "bytes" {
		return progress.Bytes(n)
	}
	return strconv.FormatInt(n, 10)
}
