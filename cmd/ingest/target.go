package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ingest/formats/writers"
	"ingest/internal/cli"
	"ingest/internal/contract"
)

// targetFlags say what shall be written.
type targetFlags struct {
	to          string
	compression string
	options     []string
}

// declare declares the flags.
func (t *targetFlags) declare(cmd *cobra.Command, to string) {
	f := cmd.Flags()
	f.StringVar(&t.to, "to", "", to)
	f.StringVar(&t.compression, "compression", "", "short for --option compression=…: none, zlib, zstd")
	f.StringArrayVar(&t.options, "option", nil, "`NAME=VALUE`, a setting of the format; repeat for more. `ingest convert` lists them")
	cmd.RegisterFlagCompletionFunc("to", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return writers.Known(), cobra.ShellCompDirectiveNoFileComp
	})
	cmd.RegisterFlagCompletionFunc("option", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return completeOption(t.to), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
}

// completeOption returns the settings of a format or preset.
func completeOption(to string) []string {
	w, _, err := writers.Resolve(to, nil)
	if err != nil {
		return nil
	}
	var out []string
	for _, o := range w.Options {
		out = append(out, o.Name+"=\t"+o.Help)
	}
	return out
}

// spec returns the target as a request carries it.
func (t *targetFlags) spec(cmd *cobra.Command) (contract.TargetSpec, error) {
	out := contract.TargetSpec{Format: t.to, Compression: t.compression}
	for _, o := range t.options {
		k, v, ok := strings.Cut(o, "=")
		if !ok || k == "" {
			return out, cli.Usage(cmd, "--option %q is not NAME=VALUE", o)
		}
		if out.Options == nil {
			out.Options = map[string]string{}
		}
		if _, twice := out.Options[k]; twice {
			return out, cli.Usage(cmd, "--option %s is given twice", k)
		}
		out.Options[k] = v
	}
	return out, nil
}

// printTargets lists what can be written.
func printTargets(g *globals, w io.Writer) error {
	if g.json {
		return cli.PrintJSON(w, map[string]any{"formats": writers.All(), "presets": writers.Presets()})
	}
	fmt.Fprintln(w, "Formats (--to NAME, --option NAME=VALUE):")
	var rows [][]string
	for _, f := range writers.All() {
		rows = append(rows, []string{f.Name, strings.Join(f.Extensions, " "), f.Help})
	}
	if err := cli.Table(w, []string{"format", "extension", "what it is"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nOptions:")
	rows = nil
	for _, f := range writers.All() {
		for _, o := range f.Options {
			rows = append(rows, []string{f.Name, o.Name, o.Default, o.Takes(), onlyText(o)})
		}
	}
	if err := cli.Table(w, []string{"format", "option", "default", "takes", "what it does"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nPresets (--to NAME), for clouds and hypervisors:")
	rows = nil
	for _, p := range writers.Presets() {
		rows = append(rows, []string{p.Name, p.Format, optionsText(p.Options), p.Why})
	}
	return cli.Table(w, []string{"preset", "format", "options", "why"}, rows)
}

// onlyText is an option's help, and what it goes with.
func onlyText(o writers.Option) string {
	if o.Only == "" {
		return o.Help
	}
	return o.Help + " (with " + o.Only + ")"
}

// optionsText writes settings on one line.
func optionsText(o map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(o)) {
		parts = append(parts, k+"="+o[k])
	}
	return strings.Join(parts, " ")
}
