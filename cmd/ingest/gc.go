package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/internal/contract"
	"ingest/internal/importer"
	"ingest/internal/progress"
	"ingest/internal/reconcile"
)

// reaper is what the Reap activity runs.
func (s *services) reaper() *reconcile.Reaper {
	return &reconcile.Reaper{Sweeper: s.sweeper, Catalogue: s.catalogue, ScrubTime: s.c.Keep.ScrubTime, History: s.c.Keep.TaskHistory}
}

// scheduleReap sets the schedule of Reap. A service that does not answer is asked
// again until it does.
func (s *services) scheduleReap(ctx context.Context) {
	r := importer.NewReaper(s.client)
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		err := r.Schedule(ctx, s.c.Keep.ReapEvery)
		if err == nil || ctx.Err() != nil {
			return
		}
		s.log.Warn().Err(err).Msg("the schedule of Reap is not set yet")
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

func newGCCommand(g *globals) *cobra.Command {
	var p contract.ReapParams
	var age time.Duration
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove what nobody needs any more: abandoned uploads, orphaned objects, staged files, expired records",
		Long: `Remove what nobody needs any more: abandoned uploads, objects that no image names, staged
files of tasks that have ended, promises of space without a task, and the records of
tasks that have expired.

The server does so by itself from time to time (ingest serve --reap-every). What has
been touched within --older-than is spared, and so is everything of a task that is not
finished; it is safe while imports run. With --dry-run it only says what would go.`,
		Example: `  ingest gc --dry-run
  ingest gc --older-than 10m --json`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.AgeSeconds = age.Seconds()
			if err := p.Check(); err != nil || age <= 0 {
				return cli.Usage(cmd, "--older-than %v: an age is at least %v", age, contract.LeastReapAge)
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			got, err := c.Reap(ctx, p)
			if err != nil {
				return err
			}
			return showReap(cmd, g, got)
		},
	}
	cmd.Flags().BoolVar(&p.DryRun, "dry-run", false, "only say what would be removed, and why")
	cmd.Flags().DurationVar(&age, "older-than", contract.DefaultReapAge, "spare what was touched within this time")
	return cmd
}

// showReap prints what was removed. What could not be is a failure.
func showReap(cmd *cobra.Command, g *globals, r contract.ReapResult) error {
	show := func() error { return printReap(cmd.OutOrStdout(), r) }
	if g.json {
		show = func() error { return cli.PrintJSON(cmd.OutOrStdout(), r) }
	}
	if err := show(); err != nil || len(r.Errors) == 0 {
		return err
	}
	return cli.ErrReported
}

func printReap(out io.Writer, r contract.ReapResult) error {
	if len(r.Items) > 0 {
		rows := make([][]string, 0, len(r.Items))
		for _, it := range r.Items {
			rows = append(rows, []string{it.Kind, it.Store, it.Name, progress.Bytes(it.Bytes), cli.Time(it.Since), it.Why})
		}
		if err := cli.Table(out, []string{"KIND", "STORE", "NAME", ">BYTES", "SINCE", "BECAUSE"}, rows); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	what := "removed"
	if r.DryRun {
		what = "to remove"
	}
	total := 0
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(r.Counts)) {
		total += r.Counts[kind]
		parts = append(parts, fmt.Sprintf("%d %s", r.Counts[kind], kind))
	}
	if total == 0 {
		fmt.Fprintln(out, "nothing "+what)
	} else {
		fmt.Fprintf(out, "%s: %s; %s\n", what, strings.Join(parts, ", "), progress.Bytes(r.Bytes))
	}
	if more := total - len(r.Items); more > 0 {
		fmt.Fprintf(out, "%d more are not listed\n", more)
	}
	for _, e := range r.Errors {
		fmt.Fprintf(out, "not done: %s %s\n", e.Code, cli.Clean(e.Message))
	}
	return nil
}
