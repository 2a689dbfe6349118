package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/bandwidth"
	"ingest/internal/bulk"
	"ingest/internal/cli"
	"ingest/internal/errcode"
	"ingest/metadata"
)

func newBulkCommand(g *globals) *cobra.Command {
	return group("bulk", "Import thousands of sources: plan, submit, watch, pause, retry, report",
		`  ingest bulk plan disks.yaml
  ingest bulk submit disks.yaml --name migration --concurrency 16 --per-host 4 --window "22:00-06:00 Europe/Berlin"
  ingest bulk show 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60 --watch`,
		newBulkPlanCommand(g), newBulkSubmitCommand(g), newBulkListCommand(g), newBulkShowCommand(g),
		newBulkChangeCommand(g, metadata.BulkPause, "Begin nothing more; what runs goes on"),
		newBulkChangeCommand(g, metadata.BulkResume, "Go on with a paused bulk"),
		newBulkCancelCommand(g),
		newBulkChangeCommand(g, metadata.BulkRetry, "Try again what has failed or was given up, and only that"),
		newBulkSetCommand(g), newBulkReportCommand(g))
}

// A bulkHead are the flags that stand above a manifest's head.
type bulkHead struct {
	name, onFailure, format                    string
	windows                                    []string
	again                                      bool
	concurrency, perHost, perStore, perProject int
	bandwidth                                  bulkRates
}

// bulkRates are the limits of bandwidth.
type bulkRates struct{ all, perHost, perStore, perProject bandwidth.Rate }

// given are the limits that were given, as the API takes them.
func (h *bulkHead) given(cmd *cobra.Command) map[string]any {
	out := map[string]any{}
	for flag, v := range map[string]any{
		"concurrency": h.concurrency, "per-host": h.perHost, "per-store": h.perStore, "per-project": h.perProject,
		"bandwidth": h.bandwidth.all, "bandwidth-per-host": h.bandwidth.perHost, "bandwidth-per-store": h.bandwidth.perStore, "bandwidth-per-project": h.bandwidth.perProject,
	} {
		if cmd.Flags().Changed(flag) {
			out[underscored(flag)] = v
		}
	}
	return out
}

func (h *bulkHead) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&h.format, "format", "", "how the manifest is written: json, yaml, csv, ndjson; told by its name unless set")
	f.StringVar(&h.name, "name", "", "name of the bulk")
	f.BoolVar(&h.again, "again", false, "do also what an earlier bulk has done")
	f.StringVar(&h.onFailure, "on-failure", "", "continue with the others, or stop, when an item fails")
	h.limits(cmd)
}

// limits are the flags that can also be changed later.
func (h *bulkHead) limits(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&h.concurrency, "concurrency", 0, "run at most so many items at once")
	f.IntVar(&h.perHost, "per-host", 0, "of them at most so many from one host")
	f.IntVar(&h.perStore, "per-store", 0, "of them at most so many into one store")
	f.IntVar(&h.perProject, "per-project", 0, "run at most so many items of all bulks of the project at once")
	f.Var(&h.bandwidth.all, "bandwidth", "read at most so many bytes a second from the sources of the bulk, such as 100MiB (0: no limit)")
	f.Var(&h.bandwidth.perHost, "bandwidth-per-host", "of them at most so many from one host (0: no limit)")
	f.Var(&h.bandwidth.perStore, "bandwidth-per-store", "write at most so many bytes a second into one store (0: no limit)")
	f.Var(&h.bandwidth.perProject, "bandwidth-per-project", "read at most so many bytes a second for all bulks of the project (0: no limit)")
	f.StringArrayVar(&h.windows, "window", nil, `begin items only then, as in "22:00-06:00 Europe/Berlin"; can be repeated`)
}

// query has the flags that were given.
func (h *bulkHead) query(cmd *cobra.Command) url.Values {
	q := url.Values{}
	for name, v := range h.given(cmd) {
		q.Set(name, fmt.Sprint(v))
	}
	addFilter(q, "name", h.name)
	addFilter(q, "on_failure", h.onFailure)
	if h.again {
		q.Set("again", "true")
	}
	for _, w := range h.windows {
		q.Add("window", w)
	}
	return q
}

func underscored(flag string) string {
	out := []byte(flag)
	for i, c := range out {
		if c == '-' {
			out[i] = '_'
		}
	}
	return string(out)
}

// read reads a manifest: a file, or standard input for "-".
func (h *bulkHead) read(cmd *cobra.Command, path string) (media string, text []byte, err error) {
	f := bulk.FormatOf(path)
	if h.format != "" {
		if f = bulk.FormatOf("." + h.format); f == "" {
			return "", nil, cli.Usage(cmd, "--format %q is none of json, yaml, csv, ndjson", h.format)
		}
	}
	if f == "" {
		return "", nil, cli.Usage(cmd, "the name of %q does not tell how it is written: give --format json, yaml, csv or ndjson", path)
	}
	in := cmd.InOrStdin()
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", nil, errcode.Wrap(err, errcode.BadRequest, "open the manifest %s", path)
		}
		defer file.Close()
		in = file
	}
	text, err = io.ReadAll(io.LimitReader(in, bulk.MaxBytes+1))
	if err != nil {
		return "", nil, errcode.Wrap(err, errcode.BadRequest, "read the manifest %s", path)
	}
	_, err = bulk.Parse(f, text) // what is wrong with it is said before it is sent
	return string(f), text, err
}

func newBulkSubmitCommand(g *globals) *cobra.Command {
	var h bulkHead
	var watch bool
	cmd := &cobra.Command{
		Use:   "submit MANIFEST",
		Short: "Import all sources of a manifest",
		Long: `Import all sources of a manifest: a file in JSON, YAML, CSV or NDJSON, or - for standard
input. The server writes it down and goes on by itself; this command does not wait
unless --watch is given. The same manifest again does only what is missing or has
changed.`,
		Example: `  ingest bulk submit disks.yaml --watch
  ingest bulk submit disks.csv --name racks --concurrency 16 --per-host 4 --on-failure stop
  ingest bulk submit disks.yaml --bandwidth 200MiB --bandwidth-per-host 50MiB`,
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
			b, err := c.SubmitBulk(cmd.Context(), media, text, h.query(cmd))
			if err != nil {
				return err
			}
			if b.Notice != "" {
				g.notice(cmd, "%s", b.Notice)
			}
			if watch {
				return watchBulk(cmd, g, c, b.ID)
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), b)
			}
			what := "submitted"
			if b.Existed {
				what = "runs already"
			}
			g.notice(cmd, "bulk %s %s: %d items\n  watch:  ingest bulk show %s --watch", b.ID, what, b.Total, b.ID)
			fmt.Fprintln(cmd.OutOrStdout(), b.ID)
			return nil
		},
	}
	h.flags(cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "follow it until it has ended, and exit with 1 if an item fails")
	return cmd
}

func newBulkListCommand(g *globals) *cobra.Command {
	var name string
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List imports in bulk, newest first",
		Example: `  ingest bulk list --name racks`,
		Args:    cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			q := url.Values{}
			addFilter(q, "name", name)
			all, err := c.Bulks(cmd.Context(), q, limit)
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), wire.BulkList{Bulks: orEmpty(all)})
			}
			rows := make([][]string, 0, len(all))
			for _, b := range all {
				rows = append(rows, []string{b.ID, b.Name, b.Status, strconv.Itoa(b.Total), cli.Time(b.CreatedAt), b.Message})
			}
			return cli.Table(cmd.OutOrStdout(), []string{"BULK", "NAME", "STATUS", ">ITEMS", "CREATED", "MESSAGE"}, rows)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "only those of this name")
	cmd.Flags().IntVar(&limit, "limit", 25, "list at most so many, 0 for all")
	return cmd
}

// newBulkChangeCommand is a subcommand that does something with a bulk.
func newBulkChangeCommand(g *globals, do, short string) *cobra.Command {
	return &cobra.Command{
		Use:     do + " BULK",
		Short:   short,
		Example: "  ingest bulk " + do + " 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60",
		Args:    cli.Args(cobra.ExactArgs(1)),
		RunE:    func(cmd *cobra.Command, args []string) error { return changeBulk(cmd, g, args[0], do) },
	}
}

func changeBulk(cmd *cobra.Command, g *globals, id, do string) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	b, err := c.ChangeBulk(cmd.Context(), id, do)
	if err != nil {
		return err
	}
	return printBulk(cmd, g, b)
}

func newBulkCancelCommand(g *globals) *cobra.Command {
	var abort bool
	cmd := &cobra.Command{
		Use:     "cancel BULK",
		Short:   "Give up what has not begun, and with --abort what runs too",
		Example: `  ingest bulk cancel 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60 --abort`,
		Args:    cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			do := metadata.BulkCancel
			if abort {
				do = metadata.BulkAbort
			}
			return changeBulk(cmd, g, args[0], do)
		},
	}
	cmd.Flags().BoolVar(&abort, "abort", false, "cancel the imports that run too")
	return cmd
}

func newBulkSetCommand(g *globals) *cobra.Command {
	var h bulkHead
	cmd := &cobra.Command{
		Use:   "set BULK",
		Short: "Change the limits and windows of a bulk, while it runs",
		Example: `  ingest bulk set 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60 --concurrency 32 --per-host 8
  ingest bulk set 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60 --bandwidth 100MiB
  ingest bulk set 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60 --bandwidth 0`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			set := map[string]any{}
			if limits := h.given(cmd); len(limits) > 0 {
				set["limits"] = limits
			}
			if cmd.Flags().Changed("window") {
				set["windows"] = h.windows
				if len(h.windows) == 1 && h.windows[0] == "" {
					set["windows"] = []string{}
				}
			}
			addSetting(set, "on_failure", h.onFailure)
			if len(set) == 0 {
				return cli.Usage(cmd, "nothing is to be changed")
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			b, err := c.SetBulk(cmd.Context(), args[0], set)
			if err != nil {
				return err
			}
			return printBulk(cmd, g, b)
		},
	}
	h.limits(cmd)
	cmd.Flags().StringVar(&h.onFailure, "on-failure", "", "continue with the others, or stop, when an item fails")
	return cmd
}

func addSetting(set map[string]any, name, value string) {
	if value != "" {
		set[name] = value
	}
}

func newBulkReportCommand(g *globals) *cobra.Command {
	var format, output string
	cmd := &cobra.Command{
		Use:   "report BULK",
		Short: "Write all that is known of a bulk: as JSON, CSV, or a page with charts",
		Example: `  ingest bulk report 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60 --format html --output report.html
  ingest bulk report 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60 --format csv`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			c, err := g.client()
			if err != nil {
				return err
			}
			in, err := c.BulkReport(cmd.Context(), args[0], format)
			if err != nil {
				return err
			}
			defer in.Close()
			out := cmd.OutOrStdout()
			if output != "" {
				file, err := os.Create(output)
				if err != nil {
					return errcode.Wrap(err, errcode.BadRequest, "make %s", output)
				}
				defer func() {
					if bad := file.Close(); err == nil && bad != nil {
						err = errcode.Wrap(bad, errcode.Internal, "write %s", output)
					}
				}()
				out = file
			}
			_, err = io.Copy(out, in)
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", "json", "json, csv or html")
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to this file instead of standard output")
	return cmd
}
