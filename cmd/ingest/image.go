package main

import (
	"fmt"
	"net/url"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/progress"
)

func newImageCommand(g *globals) *cobra.Command {
	return group("image", "Make, list, show, change, fill, save, copy, clone and delete images",
		`  ingest image list
  ingest image save 0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11 disk.qcow2`,
		newImageCreateCommand(g), newImageListCommand(g), newImageShowCommand(g), newImageSetCommand(g), newImageUnsetCommand(g), newImageDeleteCommand(g),
		newImageUploadCommand(g), newImageStageCommand(g), newImageImportCommand(g), newImageSaveCommand(g), newImageCopyCommand(g), newImageCloneCommand(g), newImageExportCommand(g),
		newImageActiveCommand(g, false), newImageActiveCommand(g, true), newImageProvenanceCommand(g))
}

func newImageListCommand(g *globals) *cobra.Command {
	var tags, properties []string
	var hidden bool
	var limit int
	filters := map[string]*string{}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List images, newest first",
		Example: `  ingest image list
  ingest image list --status active --tag base --json
  ingest image list --visibility shared --member-status pending
  ingest image list --property os_distro=debian --sort size:desc`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return cli.Usage(cmd, "--limit %d is less than 0", limit)
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			q := url.Values{}
			for key, value := range filters {
				addFilter(q, key, *value)
			}
			for _, tag := range tags {
				q.Add("tag", tag)
			}
			for _, p := range properties {
				k, v, ok := strings.Cut(p, "=")
				if !ok || k == "" || wire.IsCore(k) || q.Has(k) {
					return cli.Usage(cmd, "--property %q is not KEY=VALUE of a property", p)
				}
				q.Set(k, v)
			}
			if hidden {
				q.Set("os_hidden", "true")
			}
			images, err := c.Images(cmd.Context(), q, limit)
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), map[string]any{"images": orEmpty(images)})
			}
			rows := make([][]string, 0, len(images))
			for _, m := range images {
				rows = append(rows, []string{m.ID, m.Name, m.Status, m.DiskFormat, sizeCell(m.Size), sizeCell(m.VirtualSize), cli.Time(m.CreatedAt)})
			}
			return cli.Table(cmd.OutOrStdout(), []string{"IMAGE", "NAME", "STATUS", "FORMAT", ">SIZE", ">VIRTUAL", "CREATED"}, rows)
		},
	}
	fl := cmd.Flags()
	for _, f := range []struct{ flag, key, help string }{
		{"name", "name", "only images of this name"},
		{"status", "status", "only images in this status, such as queued, importing, active"},
		{"visibility", "visibility", "only images of this visibility: private, shared, community, public, all"},
		{"member-status", "member_status", "of images that others share: accepted (default), pending, rejected or all"},
		{"owner", "owner", "only images of the project with this id"},
		{"disk-format", "disk_format", "only images of this format"},
		{"sort", "sort", "order, such as name or size:desc,name:asc (default created_at:desc)"},
	} {
		filters[f.key] = fl.String(f.flag, "", f.help)
	}
	fl.StringArrayVar(&tags, "tag", nil, "only images with this tag; may be repeated")
	fl.StringArrayVar(&properties, "property", nil, "only images with this property, KEY=VALUE; may be repeated")
	fl.BoolVar(&hidden, "hidden", false, "only hidden images, which are left out otherwise")
	fl.IntVar(&limit, "limit", 50, "list at most so many, 0 for all")
	return cmd
}

func newImageShowCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "show IMAGE",
		Short: "Show an image, by its id or its name",
		Example: `  ingest image show debian-12
  ingest image show 0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11`,
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
			return printImage(cmd, g, img)
		},
	}
}

func newImageDeleteCommand(g *globals) *cobra.Command {
	var store string
	cmd := &cobra.Command{
		Use:   "delete IMAGE...",
		Short: "Delete images, or take them out of one store",
		Long: `Delete images with their bytes. An import that works on one is cancelled. A
protected image is refused.

With --store, the images are taken out of that store only, and stay in the others. The
last store that has an image is refused.`,
		Example: `  ingest image delete debian-11
  ingest image delete 0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11
  ingest image delete debian-12 --store fast`,
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
				if store != "" {
					if err := c.DeleteFromStore(cmd.Context(), img.ID, store); err != nil {
						return err
					}
					g.notice(cmd, "image %s is out of store %s", img.ID, store)
					continue
				}
				if err := c.DeleteImage(cmd.Context(), img.ID); err != nil {
					return err
				}
				g.notice(cmd, "image %s is deleted", img.ID)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&store, "store", "", "take the images out of this store only")
	return cmd
}

// printImage prints an image with everything that is known of it.
func printImage(cmd *cobra.Command, g *globals, m wire.Image) error {
	out := cmd.OutOrStdout()
	if g.json {
		return cli.PrintJSON(out, m)
	}
	hash := ""
	if m.HashValue != "" {
		hash = m.HashAlgo + ":" + m.HashValue
	}
	pairs := []string{
		"id", m.ID, "name", m.Name, "status", m.Status, "format", m.DiskFormat, "container", m.ContainerFormat,
		"size", sizeField(m.Size), "virtual size", sizeField(m.VirtualSize), "stored digest", hash,
		"content digest", m.ContentDigest, "md5", m.Checksum, "store", m.Stores, "owner", m.Owner,
		"visibility", m.Visibility, "tags", strings.Join(m.Tags, " "), "created", cli.Time(m.CreatedAt), "updated", cli.Time(m.UpdatedAt),
	}
	if m.Protected {
		pairs = append(pairs, "protected", "true")
	}
	names := make([]string, 0, len(m.Properties))
	for k := range m.Properties {
		names = append(names, k)
	}
	sort.Strings(names)
	for _, k := range names {
		pairs = append(pairs, "property", k+"="+m.Properties[k])
	}
	return cli.Fields(out, pairs...)
}

func sizeCell(n *int64) string {
	if n == nil {
		return ""
	}
	return progress.Bytes(*n)
}

// sizeField shows a size in bytes too, for those who compare.
func sizeField(n *int64) string {
	if n == nil {
		return ""
	}
	return fmt.Sprintf("%s (%d bytes)", progress.Bytes(*n), *n)
}
