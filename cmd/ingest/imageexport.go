package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/internal/contract"
)

func newImageExportCommand(g *globals) *cobra.Command {
	var target targetFlags
	var to contract.DestinationSpec
	var noWait bool
	cmd := &cobra.Command{
		Use:   "export IMAGE --dest URL",
		Short: "Have the server send an image to a file, a bucket or a web server",
		Long: `Have the server send an image to a file, a bucket or a web server, and follow it until
it is there.

The destination is file:///PATH on the server's machine (--export-roots), s3://BUCKET/KEY
with a credential (--export-buckets), or an http or https URL that takes a PUT. It
appears whole or not at all; files and objects are read back and compared. Without --to
the stored bytes are sent as they are; otherwise they are converted on the way. Ctrl-C
stops watching, not the export.`,
		Example: `  ingest image export debian-12 --dest /srv/exports/debian-12.img
  ingest image export debian-12 --to vmdk --dest s3://images/debian-12.vmdk --credential backup
  ingest image export debian-12 --to qcow2 --compression zstd --dest https://files.example.org/debian-12.qcow2`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to.URL == "" {
				return cli.Usage(cmd, "to where? Give --dest URL")
			}
			var err error
			if !strings.Contains(to.URL, "://") {
				if to.URL, err = filepath.Abs(to.URL); err != nil {
					return err
				}
			}
			spec, err := target.spec(cmd)
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
			sub, err := c.Export(ctx, contract.ExportRequest{ImageID: img.ID, Target: spec, Destination: to})
			if err != nil {
				return err
			}
			if noWait {
				return printSubmitted(cmd, g, sub)
			}
			g.notice(cmd, "task %s, image %s", sub.TaskID, img.ID)
			task, err := follow(ctx, cmd, g, c, sub.TaskID)
			if err != nil {
				return err
			}
			if task.Status != "success" || task.Result == nil || task.Result.Exported == nil {
				return printOutcome(cmd, g, c, task)
			}
			return printExported(cmd, g, *task.Result.Exported)
		},
	}
	target.declare(cmd, "format or preset to send (default: the stored bytes as they are)")
	f := cmd.Flags()
	f.StringVar(&to.URL, "dest", "", "`URL` or path on the server to send to")
	f.StringVar(&to.Credential, "credential", "", "`NAME` of a credential of the server for the destination")
	f.BoolVar(&to.Overwrite, "overwrite", false, "replace what is there")
	f.BoolVar(&noWait, "no-wait", false, "submit and do not follow")
	return cmd
}

func printExported(cmd *cobra.Command, g *globals, e contract.Exported) error {
	if g.json {
		return cli.PrintJSON(cmd.OutOrStdout(), e)
	}
	verified := "read back and equal"
	if !e.Verified {
		verified = "no, it cannot be read back"
	}
	return cli.Fields(cmd.OutOrStdout(), "destination", e.Destination, "format", e.DiskFormat, "size", sizeField(&e.Size),
		"virtual size", sizeField(&e.VirtualSize), e.HashAlgo, e.HashValue, "content digest", e.ContentDigest, "verified", verified)
}
