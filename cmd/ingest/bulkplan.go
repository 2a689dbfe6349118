package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/contract"
	"ingest/internal/progress"
)

// bulkPlanned is a whole dry run, for --json.
type bulkPlanned struct {
	Items   []wire.BulkPlanLine `json:"items"`
	Summary wire.BulkPlan       `json:"summary"`
}

func newBulkPlanCommand(g *globals) *cobra.Command {
	var h bulkHead
	cmd := &cobra.Command{
		Use:   "plan MANIFEST",
		Short: "Say what would become of every source of a manifest, without importing any",
		Long: `Say what would become of every source of a manifest. A few ranges of each are read, within
the limits of the bulk; nothing is recorded. Shown are the items that would be refused, and
what all of them come to. The exit code is 1 if an item would be refused.`,
		Example: `  ingest bulk plan disks.yaml
  ingest bulk plan disks.csv --per-host 2 --json`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			media, text, err := h.read(cmd, args[0])
			if err != nil {
				return err
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			whole := bulkPlanned{Items: []wire.BulkPlanLine{}}
			whole.Summary, err = c.PlanBulk(ctx, media, text, h.query(cmd), func(line wire.BulkPlanLine) error {
				whole.Items = append(whole.Items, line)
				return nil
			})
			if err != nil {
				return err
			}
			slices.SortFunc(whole.Items, func(a, b wire.BulkPlanLine) int { return a.N - b.N })
			if g.json {
				err = cli.PrintJSON(cmd.OutOrStdout(), whole)
			} else {
				err = printBulkPlan(cmd.OutOrStdout(), whole)
			}
			if err == nil && whole.Summary.Refused > 0 {
				return cli.ErrReported
			}
			return err
		},
	}
	h.flags(cmd)
	return cmd
}

func printBulkPlan(out io.Writer, p bulkPlanned) error {
	var rows [][]string
	for _, line := range p.Items {
		switch f := line.Forecast; {
		case line.Error != nil:
			rows = append(rows, []string{strconv.Itoa(line.N), line.Key, "unknown", string(line.Error.Code), line.Error.Message})
		case f != nil && f.Verdict == contract.VerdictRefused && f.Error != nil:
			rows = append(rows, []string{strconv.Itoa(line.N), line.Key, "refused", string(f.Error.Code), f.Error.Message})
		}
	}
	if len(rows) > 0 {
		if err := cli.Table(out, []string{">N", "KEY", "VERDICT", "CODE", "MESSAGE"}, rows); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	s := p.Summary
	codes := ""
	for _, code := range slices.Sorted(maps.Keys(s.Codes)) {
		codes += fmt.Sprintf("%d %s ", s.Codes[code], code)
	}
	took, free := "unknown", ""
	if s.Seconds >= 0 {
		took = progress.Duration(time.Duration(s.Seconds * float64(time.Second)))
	}
	if s.Free >= 0 {
		free = progress.Bytes(s.Free)
	}
	return cli.Fields(out, "items", strconv.Itoa(s.Items), "would be accepted", strconv.Itoa(s.Accepted), "would be refused", strconv.Itoa(s.Refused),
		"not known", strconv.Itoa(s.Unknown), "share another's bytes", strconv.Itoa(s.Duplicates), "codes", codes,
		"to be fetched", progress.Bytes(s.Bytes), "virtual size", progress.Bytes(s.Virtual), "to be stored", progress.Bytes(s.Stored), "free in the store", free, "time", took)
}
