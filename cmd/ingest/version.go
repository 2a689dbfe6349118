package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/internal/embedded"
)

// version is set by the linker.
var version = "dev"

// newVersionCommand returns `ingest version`.
func newVersionCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  ingest version --json",
		Args:    cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), map[string]any{
					"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
					"embedded_temporal": embedded.Available,
				})
			}
			with := "with the embedded Temporal server"
			if !embedded.Available {
				with = "without an embedded Temporal server"
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "ingest %s (%s, %s/%s, %s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, with)
			return err
		},
	}
}
