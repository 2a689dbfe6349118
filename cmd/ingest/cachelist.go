package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ingest/cache"
	"ingest/internal/cli"
	"ingest/internal/progress"
)

func newCacheListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List what is in the cache, on its way and queued, with hits and misses",
		Example: `  ingest cache list
  ingest cache list --json`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			v, err := c.Cache(cmd.Context())
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), v)
			}
			return printCache(cmd.OutOrStdout(), v)
		},
	}
}

func printCache(out io.Writer, v cache.View) error {
	rows := make([][]string, 0, len(v.Entries)+len(v.Fills)+len(v.Queue))
	for _, e := range v.Entries {
		rows = append(rows, []string{e.ImageID, e.Store, progress.Bytes(e.Size), "cached", fmt.Sprint(e.Hits), cli.Time(e.Accessed)})
	}
	for _, f := range v.Fills {
		rows = append(rows, []string{f.ImageID, f.Store, progress.Bytes(f.Size), fmt.Sprintf("%d %% copied", f.Have*100/max(f.Size, 1)), "", ""})
	}
	for _, q := range v.Queue {
		rows = append(rows, []string{q.ImageID, q.Store, progress.Bytes(q.Size), "queued", "", ""})
	}
	if err := cli.Table(out, []string{"IMAGE", "STORE", ">SIZE", "STATE", ">HITS", "READ"}, rows); err != nil {
		return err
	}
	s := v.Stats
	fmt.Fprintf(out, "\n%s of %s; since the start %d hits, %d shared, %d misses, %d copied, %d evicted\n",
		progress.Bytes(v.Bytes), progress.Bytes(v.MaxBytes), s.Hits, s.Shared, s.Misses, s.Filled, s.Evicted)
	for _, trouble := range []struct {
		n    int64
		what string
	}{
		{s.Corrupt, "copies had another digest than their image, and were thrown away"},
		{s.Invalid, "copies were damaged on this disk, and were removed"},
		{s.Stalled, "copies were given up because the store sent nothing"},
		{s.Failed, "copies were broken off by the store"},
		{s.DiskErrors, "copies had no room on the disk, or could not be written"},
		{s.Busy, "copies were not begun because of others"},
	} {
		if trouble.n > 0 {
			fmt.Fprintf(out, "%d %s\n", trouble.n, trouble.what)
		}
	}
	return nil
}

func newCachePruneCommand(g *globals) *cobra.Command {
	most := int64(-1)
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove from the cache what was not read for longest",
		Long: `Remove from the cache what was not read for longest, until at most --to bytes are left.

The server does so by itself whenever a copy needs room, so that without --to nothing
is removed unless something is wrong.`,
		Example: `  ingest cache prune --to 1073741824
  ingest cache prune --to 0 --json`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("to") && most < 0 {
				return cli.Usage(cmd, "--to %d is less than 0", most)
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			got, err := c.CachePrune(cmd.Context(), most)
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), got)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d images removed, %s\n", got.Files, progress.Bytes(got.Bytes))
			return err
		},
	}
	cmd.Flags().Int64Var(&most, "to", -1, "bytes that are left at most (default: what the server allows)")
	cmd.Flags().Lookup("to").DefValue = ""
	return cmd
}

func newCacheCleanCommand(g *globals) *cobra.Command {
	var verify bool
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "Remove from the cache what is of no use",
		Long: `Remove from the cache what is of no use: copies of images that are gone, damaged
ones, copies to which no byte came for --cache-stall-time.

A copy is taken for damaged when its file has another length or time of change than
it had. With --verify all copies are read and their digests compared.`,
		Example: `  ingest cache clean
  ingest cache clean --verify --json`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			if verify {
				v, err := c.Cache(cmd.Context())
				if err != nil {
					return err
				}
				g.notice(cmd, "reading %d images, %s", len(v.Entries), progress.Bytes(v.Bytes))
			}
			got, err := c.CacheClean(cmd.Context(), verify)
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), got)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "removed: %d of images that are gone, %d damaged, %d stalled; %s\n", got.Dead, got.Invalid, got.Stalled, progress.Bytes(got.Bytes))
			return err
		},
	}
	cmd.Flags().BoolVar(&verify, "verify", false, "read every copy and compare its digest")
	return cmd
}
