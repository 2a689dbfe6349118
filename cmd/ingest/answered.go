package main

import (
	"context"

	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/internal/client"
)

// answered runs a command that asks the server one thing: the answer is printed as JSON
// or else told.
func answered[T any](g *globals, ask func(ctx context.Context, c *client.Client, args []string) (T, error), tell func(cmd *cobra.Command, answer T) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := g.client()
		if err != nil {
			return err
		}
		answer, err := ask(cmd.Context(), c, args)
		if err != nil {
			return err
		}
		if g.json {
			return cli.PrintJSON(cmd.OutOrStdout(), answer)
		}
		return tell(cmd, answer)
	}
}
