package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/internal/contract"
)

func newScrubCommand(g *globals) *cobra.Command {
	p := contract.ReapParams{Kind: contract.ReapedImage}
	var restore string
	cmd := &cobra.Command{
		Use:   "scrub",
		Short: "Remove deleted images whose time is over, or restore one",
		Long: `Remove deleted images whose time is over, or restore one.

With ingest serve --delayed-delete, an image that is deleted disappears and keeps its
bytes for --scrub-time. Its owner sees it with ingest image list --status
pending_delete. The server scrubs by itself too (--reap-every).`,
		Example: `  ingest scrub --dry-run
  ingest scrub --restore 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if restore != "" && p.DryRun {
				return cli.Usage(cmd, "--restore and --dry-run do not go together")
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			if restore == "" {
				got, err := c.Reap(ctx, p)
				if err != nil {
					return err
				}
				return showReap(cmd, g, got)
			}
			img, err := c.Restore(ctx, restore)
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), img)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "image %s is %s\n", img.ID, img.Status)
			return err
		},
	}
	cmd.Flags().StringVar(&restore, "restore", "", "make the image of this `ID` active again")
	cmd.Flags().BoolVar(&p.DryRun, "dry-run", false, "only say what would be removed")
	return cmd
}
