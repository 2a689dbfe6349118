package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/client"
	"ingest/internal/progress"
	"ingest/metadata"
)

// Times between two looks at a bulk: often where a person looks on, seldom where lines go
// into a file.
const (
	lookLive  = time.Second
	lookPlain = 10 * time.Second
	// shownRunning is how many running items a live table shows.
	shownRunning = 15
)

func newBulkShowCommand(g *globals) *cobra.Command {
	var watch, items bool
	var states []string
	cmd := &cobra.Command{
		Use:   "show BULK",
		Short: "Show how far a bulk is, and its items",
		Long: `Show how far a bulk is. With --watch it is followed until it has ended: on a terminal as a
live table of what runs, elsewhere as a line from time to time; the exit code is 1 if an
item has failed. Ctrl-C stops watching, not the bulk.`,
		Example: `  ingest bulk show 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60 --watch
  ingest bulk show 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60 --items --state failed`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			if watch {
				return watchBulk(cmd, g, c, args[0])
			}
			b, err := c.Bulk(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if !items && len(states) == 0 {
				return printBulk(cmd, g, b)
			}
			list, err := c.BulkItems(cmd.Context(), b.ID, url.Values{"state": states}, 0)
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), wire.BulkReport{Bulk: b, Items: orEmpty(list)})
			}
			if err := printBulk(cmd, g, b); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout())
			return printItems(cmd.OutOrStdout(), list)
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "follow it until it has ended")
	cmd.Flags().BoolVar(&items, "items", false, "list its items too")
	cmd.Flags().StringArrayVar(&states, "state", nil, "list only items in this state: pending, waiting, running, active, failed, skipped, cancelled; can be repeated")
	return cmd
}

func printBulk(cmd *cobra.Command, g *globals, b wire.Bulk) error {
	if g.json {
		return cli.PrintJSON(cmd.OutOrStdout(), b)
	}
	out := cmd.OutOrStdout()
	ended := ""
	if b.EndedAt != nil {
		ended = cli.Time(*b.EndedAt)
	}
	err := cli.Fields(out, "id", b.ID, "name", b.Name, "status", b.Status, "message", b.Message, "items", strconv.Itoa(b.Total), "by state", byState(b),
		"stored", progress.Bytes(b.Bytes), "pace", pace(b), "owner", b.Owner, "workflow", b.WorkflowID, "windows", strings.Join(b.Settings.Windows, ", "),
		"limits", b.Settings.Limits.Words(), "created", cli.Time(b.CreatedAt), "ended", ended)
	if err != nil || len(b.Hosts) == 0 {
		return err
	}
	rows := make([][]string, 0, len(b.Hosts))
	for _, h := range b.Hosts {
		what := "is tried"
		switch {
		case h.GivenUp:
			what = "given up"
		case h.Since != nil:
			what = "waits until " + cli.Time(*h.Until)
		}
		rows = append(rows, []string{h.Host, strconv.Itoa(h.Failures), h.Code, what})
	}
	fmt.Fprintln(out)
	return cli.Table(out, []string{"HOST", ">FAILURES", "CODE", "STATE"}, rows)
}

// byState counts the items of a bulk, in the order of their lives.
func byState(b wire.Bulk) string {
	var parts []string
	for _, state := range metadata.ItemStates() {
		if n := b.Items[string(state)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	return strings.Join(parts, ", ")
}

func pace(b wire.Bulk) string {
	if b.ItemsPerSecond == 0 {
		return ""
	}
	out := fmt.Sprintf("%.2f items/s, %s/s", b.ItemsPerSecond, progress.Bytes(int64(b.BytesPerSecond)))
	if b.EndedAt == nil && b.ETA > 0 {
		out += ", about " + progress.Duration(time.Duration(b.ETA*float64(time.Second))) + " to go"
	}
	return out
}

func printItems(out io.Writer, items []wire.BulkItem) error {
	rows := make([][]string, 0, len(items))
	for _, it := range items {
		size := ""
		if it.Bytes > 0 {
			size = progress.Bytes(it.Bytes)
		}
		what := it.Stage
		if it.Code != "" {
			what = it.Code
		}
		rows = append(rows, []string{strconv.Itoa(it.N), it.Key, it.State, it.Name, it.ImageID, size, what})
	}
	return cli.Table(out, []string{">N", "KEY", "STATE", "NAME", "IMAGE", ">BYTES", "WHAT"}, rows)
}

// watchBulk follows a bulk until it has ended.
func watchBulk(cmd *cobra.Command, g *globals, c *client.Client, id string) error {
	ctx, stop := interruptible(cmd)
	defer stop()
	out := cmd.ErrOrStderr()
	live := progress.Terminal(out) && !g.quiet && !g.json
	every, drawn, last := lookPlain, 0, ""
	if live {
		every = lookLive
	}
	for pause := time.Duration(0); ; pause = every {
		select {
		case <-ctx.Done():
			g.notice(cmd, "Stopped watching; the bulk goes on.\n  watch: ingest bulk show %s --watch", id)
			return cli.ErrDetached
		case <-time.After(pause):
		}
		b, err := c.Bulk(ctx, id)
		if errors.Is(err, context.Canceled) {
			continue
		}
		if err != nil {
			return err
		}
		switch line := bulkLine(b); {
		case live:
			if drawn, err = drawBulk(ctx, out, c, b, drawn); err != nil {
				return err
			}
		case !g.quiet && line != last:
			fmt.Fprintln(out, line)
			last = line
		}
		if metadata.BulkStatus(b.Status).Finished() {
			if err := printBulk(cmd, g, b); err != nil {
				return err
			}
			if b.Status != string(metadata.BulkSuccess) {
				return cli.ErrReported
			}
			return nil
		}
	}
}

// bulkLine is how far a bulk is, in a line.
func bulkLine(b wire.Bulk) string {
	return fmt.Sprintf("%s: %s of %d items; %s stored; %s", b.Status, byState(b), b.Total, progress.Bytes(b.Bytes), pace(b))
}

// drawBulk draws a bulk's state over what was drawn before, so many lines.
func drawBulk(ctx context.Context, out io.Writer, c *client.Client, b wire.Bulk, drawn int) (int, error) {
	items, err := c.BulkItems(ctx, b.ID, url.Values{"state": {string(metadata.ItemRunning)}}, shownRunning)
	if err != nil {
		return drawn, err
	}
	var text strings.Builder
	fmt.Fprintln(&text, bulkLine(b))
	done := b.Total - b.Items["pending"] - b.Items["waiting"] - b.Items["running"]
	const wide = 40
	filled := wide * done / max(b.Total, 1)
	fmt.Fprintf(&text, "[%s%s] %d%%\n", strings.Repeat("#", filled), strings.Repeat(".", wide-filled), 100*done/max(b.Total, 1))
	if len(items) > 0 {
		if err := printItems(&text, items); err != nil {
			return drawn, err
		}
	}
	if drawn > 0 {
		fmt.Fprintf(out, "\x1b[%dA\x1b[J", drawn)
	}
	_, err = io.WriteString(out, text.String())
	return strings.Count(text.String(), "\n"), err
}
