package main

import (
	"context"

	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/internal/client"
)

func newTagCommand(g *globals) *cobra.Command {
	return group("tag", "Add and remove tags of images",
		`  ingest tag add debian-12 base lts
  ingest tag remove debian-12 lts`,
		g.tagCommand("add", "Add tags to an image", (*client.Client).AddTag),
		g.tagCommand("remove", "Remove tags of an image", (*client.Client).RemoveTag))
}

func (g *globals) tagCommand(use, short string, do func(c *client.Client, ctx context.Context, id, tag string) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " IMAGE TAG...", Short: short,
		Example:           "  ingest tag " + use + " debian-12 base\n  ingest tag " + use + " debian-12 base lts --json",
		Args:              cli.Args(cobra.MinimumNArgs(2)),
		ValidArgsFunction: g.completeImage(cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.change(cmd, args[0], nil, func(ctx context.Context, c *client.Client, id string) error {
				for _, tag := range args[1:] {
					if err := do(c, ctx, id, tag); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}
