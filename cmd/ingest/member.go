package main

import (
	"context"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/client"
)

func newMemberCommand(g *globals) *cobra.Command {
	add := g.memberCommand("add", "Share an image with a project",
		"  ingest member add debian-12 3d7c7f1f2e110d9b3c582a564f0c8b1c\n  ingest member add debian-12 acme --json", "image %s is shared with %s", findImage,
		func(ctx context.Context, c *client.Client, image, project string) (wire.Member, error) {
			return c.AddMember(ctx, image, project)
		})
	add.Long = `Share an image with a project, by the project's id. The image must be shared (ingest image
set IMAGE --visibility shared), and is in the project's lists once the project has
accepted it (ingest member set IMAGE PROJECT --status accepted).`
	remove := g.memberCommand("remove", "End the sharing of an image with a project", "  ingest member remove debian-12 acme", "image %s is not shared with %s any more", findImage,
		func(ctx context.Context, c *client.Client, image, project string) (wire.Member, error) {
			return wire.Member{Project: project, ImageID: image}, c.RemoveMember(ctx, image, project)
		})
	return group("member", "Share images with projects, and accept what is shared",
		`  ingest member add debian-12 3d7c7f1f2e110d9b3c582a564f0c8b1c
  ingest member list debian-12`,
		add, newMemberListCommand(g), newMemberSetCommand(g), remove)
}

// A finding finds the image that a person names.
type finding func(ctx context.Context, c *client.Client, idOrName string) (wire.Image, error)

// memberCommand is a command about one image and one project.
func (g *globals) memberCommand(use, short, example, done string, find finding, do func(ctx context.Context, c *client.Client, image, project string) (wire.Member, error)) *cobra.Command {
	return &cobra.Command{
		Use: use + " IMAGE PROJECT", Short: short, Example: example,
		Args:              cli.Args(cobra.ExactArgs(2)),
		ValidArgsFunction: g.completeImage(cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			img, err := find(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			m, err := do(cmd.Context(), c, img.ID, args[1])
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), m)
			}
			g.notice(cmd, done, img.ID, cli.Clean(args[1]))
			return nil
		},
	}
}

func newMemberListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "list IMAGE",
		Short:             "List the projects that an image is shared with",
		Example:           "  ingest member list debian-12\n  ingest member list debian-12 --json",
		Args:              cli.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: g.completeImage(cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			img, err := findImage(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			all, err := c.Members(cmd.Context(), img.ID)
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), map[string]any{"members": orEmpty(all)})
			}
			var rows [][]string
			for _, m := range all {
				rows = append(rows, []string{m.Project, m.Status, m.CreatedAt, m.UpdatedAt})
			}
			return cli.Table(cmd.OutOrStdout(), []string{"PROJECT", "STATUS", "CREATED", "UPDATED"}, rows)
		},
	}
}

func newMemberSetCommand(g *globals) *cobra.Command {
	var status string
	cmd := g.memberCommand("set", "Say as a project whether it takes an image", `  ingest member set 0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11 acme --status accepted`, "image %s: the answer of %s is kept", findShared,
		func(ctx context.Context, c *client.Client, image, project string) (wire.Member, error) {
			return c.SetMember(ctx, image, project, status)
		})
	cmd.Long = `Say as a project whether it takes an image that is shared with it: accepted images are
in its lists. What waits for an answer is listed by ingest image list --visibility shared
--member-status pending.`
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if status == "" {
			return cli.Usage(cmd, "--status is not given: accepted, rejected or pending")
		}
		return run(cmd, args)
	}
	cmd.Flags().StringVar(&status, "status", "", "accepted, rejected or pending")
	cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions([]string{"accepted", "rejected", "pending"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}
