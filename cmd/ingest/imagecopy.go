package main

import (
	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
)

func newImageCopyCommand(g *globals) *cobra.Command {
	var f storesFlags
	var noWait bool
	cmd := &cobra.Command{
		Use:   "copy IMAGE",
		Short: "Copy an image to further stores and follow it until it is there",
		Long: `Copy an image to further stores and follow it until it is there.

The bytes are copied as they are, and must have the image's digest. The image stays
active all the time. A store that has it already is done. Ctrl-C stops watching, not
the copy.`,
		Example: `  ingest image copy debian-12 --store archive
  ingest image copy 0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11 --all-stores --allow-failed-stores`,
		Args:              cli.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: g.completeImage(cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(f.names) == 0 && !f.all {
				return cli.Usage(cmd, "to which store? Give --store NAME, or --all-stores")
			}
			if len(f.names) == 1 {
				f.allowFailed = false // the one store must succeed in any case
			}
			to, err := f.spec(cmd)
			if err != nil {
				return err
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			img, err := findImage(ctx, c, args[0])
			if err != nil {
				return err
			}
			id, err := c.CopyImage(ctx, img.ID, to)
			if err != nil {
				return err
			}
			if noWait {
				return printSubmitted(cmd, g, wire.Submitted{TaskID: id, ImageID: img.ID, Status: "pending", Started: true})
			}
			g.notice(cmd, "task %s, image %s", id, img.ID)
			task, err := follow(ctx, cmd, g, c, id)
			if err != nil {
				return err
			}
			return printOutcome(cmd, g, c, task)
		},
	}
	f.declare(cmd.Flags(), "store to copy to; may be repeated", "copy to every store that has not got the image")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "submit and do not follow")
	return cmd
}
