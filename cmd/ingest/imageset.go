package main

import (
	"context"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/client"
)

func newImageSetCommand(g *globals) *cobra.Command {
	var f imageFields
	cmd := &cobra.Command{
		Use:   "set IMAGE",
		Short: "Change an image's name, properties, visibility and the like",
		Long: `Change an image's name, properties, visibility and the like, all at once or not at
all; --tag adds tags behind that.`,
		Example: `  ingest image set debian-12 --property os_distro=debian --visibility community
  ingest image set debian-12 --name debian-12-old --protected=false --hidden
  ingest image set debian-12 --tag base --json`,
		Args:              cli.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: g.completeImage(cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			changes, err := f.changes(cmd)
			if err != nil {
				return err
			}
			if len(changes)+len(f.tags) == 0 {
				return cli.Usage(cmd, "nothing to change is given")
			}
			return g.change(cmd, args[0], changes, func(ctx context.Context, c *client.Client, id string) error {
				for _, tag := range f.tags {
					if err := c.AddTag(ctx, id, tag); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&f.name, "name", "", "name of the image")
	f.declare(cmd)
	return cmd
}

func newImageUnsetCommand(g *globals) *cobra.Command {
	var properties, tags []string
	cmd := &cobra.Command{
		Use:   "unset IMAGE",
		Short: "Remove properties and tags of an image",
		Example: `  ingest image unset debian-12 --property os_distro --property os_version
  ingest image unset debian-12 --tag base`,
		Args:              cli.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: g.completeImage(cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(properties)+len(tags) == 0 {
				return cli.Usage(cmd, "nothing to remove is given: see --property and --tag")
			}
			var changes []client.Change
			for _, k := range properties {
				if wire.IsCore(k) {
					return cli.Usage(cmd, "%s is a member of every image and no property", k)
				}
				changes = append(changes, client.Change{Op: "remove", Path: pointer(k)})
			}
			return g.change(cmd, args[0], changes, func(ctx context.Context, c *client.Client, id string) error {
				for _, tag := range tags {
					if err := c.RemoveTag(ctx, id, tag); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().StringArrayVar(&properties, "property", nil, "name of a property to remove; may be repeated")
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "tag to remove; may be repeated")
	return cmd
}

// change changes an image, does what else there is to do, and shows what it has become
// with --json.
func (g *globals) change(cmd *cobra.Command, name string, changes []client.Change, more func(ctx context.Context, c *client.Client, id string) error) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	img, err := findImage(ctx, c, name)
	if err != nil {
		return err
	}
	if len(changes) > 0 {
		if _, err := c.ChangeImage(ctx, img.ID, changes); err != nil {
			return err
		}
	}
	if err := more(ctx, c, img.ID); err != nil {
		return err
	}
	return g.changed(cmd, c, img.ID)
}

// changed tells that an image was changed.
func (g *globals) changed(cmd *cobra.Command, c *client.Client, id string) error {
	if !g.json {
		g.notice(cmd, "image %s is changed", id)
		return nil
	}
	img, err := c.Image(cmd.Context(), id)
	if err != nil {
		return err
	}
	return cli.PrintJSON(cmd.OutOrStdout(), img)
}

func newImageActiveCommand(g *globals, active bool) *cobra.Command {
	use, short := "deactivate", "Refuse to give out an image's bytes, such as of one under suspicion"
	if active {
		use, short = "reactivate", "Give out a deactivated image's bytes again"
	}
	return &cobra.Command{
		Use:               use + " IMAGE...",
		Short:             short,
		Example:           "  ingest image " + use + " debian-12\n  ingest image " + use + " 0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11 --json",
		Args:              cli.Args(cobra.MinimumNArgs(1)),
		ValidArgsFunction: g.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			for _, arg := range args {
				img, err := findImage(cmd.Context(), c, arg)
				if err != nil {
					return err
				}
				if err := c.SetActive(cmd.Context(), img.ID, active); err != nil {
					return err
				}
				if err := g.changed(cmd, c, img.ID); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
