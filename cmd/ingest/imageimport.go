package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/client"
	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// The methods of an import, as Glance's API calls them.
const (
	methodDirect   = "glance-direct"
	methodWeb      = "web-download"
	methodDownload = "glance-download"
)

func newImageImportCommand(g *globals) *cobra.Command {
	var m client.ImportMethod
	var f storesFlags
	var noWait bool
	cmd := &cobra.Command{
		Use:   "import IMAGE",
		Short: "Import into an image that is there, from its staged bytes, a URL or another cloud",
		Long: `Import into an image that is there: from the bytes that ingest image stage has sent;
with --uri, from a URL; with --from-region and --from-image, from the image service of
another region. To make an image and import into it in one go, see ingest import and
ingest image create.`,
		Example: `  ingest image import debian-12
  ingest image import debian-12 --uri https://example.org/debian-12.qcow2 --no-wait
  ingest image import debian-12 --from-region east --from-image 0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11`,
		Args:              cli.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: g.completeImage(cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			m.Name = methodDirect
			switch {
			case m.URI != "" && m.Region+m.ImageID != "":
				return cli.Usage(cmd, "--uri and --from-region are two sources")
			case (m.Region == "") != (m.ImageID == ""):
				return cli.Usage(cmd, "--from-region and --from-image belong together")
			case m.URI != "":
				m.Name = methodWeb
			case m.Region != "":
				m.Name = methodDownload
			}
			var err error
			if m.Stores, err = f.spec(cmd); err != nil {
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
			return g.importInto(ctx, cmd, c, img.ID, m, noWait)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&m.URI, "uri", "", "`URL` to read the bytes from (web-download)")
	fl.StringVar(&m.Region, "from-region", "", "region whose image service has the bytes (glance-download)")
	fl.StringVar(&m.ImageID, "from-image", "", "`ID` of the image in that region")
	f.declare(fl, "store to put the bytes into; may be repeated", "put the bytes into every store")
	fl.BoolVar(&noWait, "no-wait", false, "submit and do not follow")
	return cmd
}

// importInto starts an import and follows it to its end.
func (g *globals) importInto(ctx context.Context, cmd *cobra.Command, c *client.Client, id string, m client.ImportMethod, noWait bool) error {
	task, err := c.ImportInto(ctx, id, m)
	if err != nil {
		return err
	}
	var w cli.Watcher = c
	if task == "" { // another image service: who is no administrator asks the image
		if task, err = c.LastTask(ctx, id); err != nil && errcode.Of(err) != errcode.NotFound {
			return err
		}
		w = client.ByImage{Client: c, Image: id}
	}
	if noWait {
		return printSubmitted(cmd, g, wire.Submitted{TaskID: task, ImageID: id, Status: "pending", Started: true})
	}
	if task == "" {
		return g.waitForImage(ctx, cmd, c, id)
	}
	g.notice(cmd, "task %s, image %s", task, id)
	t, err := follow(ctx, cmd, g, w, task)
	if err != nil {
		return err
	}
	if t.ImageID == "" {
		t.ImageID = id
	}
	return printOutcome(cmd, g, c, t)
}

// waitForImage waits for the end of an import at a service that tells of no task.
func (g *globals) waitForImage(ctx context.Context, cmd *cobra.Command, c *client.Client, id string) error {
	for {
		img, err := c.Image(ctx, id)
		if err != nil {
			return err
		}
		switch img.Status {
		case "active":
			return printImage(cmd, g, img)
		case "importing", "uploading", "saving":
		default:
			return errcode.New(errcode.Conflict, "the import into image %s has failed: it is %s", id, img.Status)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// storesOf is the stores of one name, "" for the server's default.
func storesOf(name string) contract.StoresSpec {
	if name == "" {
		return contract.StoresSpec{}
	}
	return contract.StoresSpec{Stores: []string{name}}
}
