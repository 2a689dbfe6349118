package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/client"
	"ingest/internal/errcode"
)

// cleanupTime is how long the removal of a record may take whose bytes did not arrive.
const cleanupTime = 10 * time.Second

// creating are the flags of `ingest image create`.
type creating struct {
	imageFields
	file, uri, id, store string
	convert, noWait      bool
}

func newImageCreateCommand(g *globals) *cobra.Command {
	var f creating
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make an image, with its bytes from a file or a URL",
		Long: `Make an image. With --file its bytes are uploaded and kept as they are; with --import
they are staged, and an import takes them from there: it checks and converts them as
the server does. With --uri the server reads them from a URL. Without any of these the
image waits for its bytes (ingest image upload, stage, import).

The disk format of a file on this disk is found out, and a file that is not safe is
refused before anything is made; --disk-format says it instead. If the bytes do not
arrive, the image is removed.`,
		Example: `  ingest image create debian-12 --file debian-12.qcow2 --property os_distro=debian
  ingest image create debian-12 --file debian-12.vmdk --import
  ingest image create debian-12 --uri https://example.org/debian-12.qcow2 --disk-format qcow2
  ingest image create empty --disk-format raw --json`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.name = args[0]
			return f.run(g, cmd)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.file, "file", "", "`FILE` with the bytes, - for standard input")
	fl.StringVar(&f.uri, "uri", "", "`URL` that the server reads the bytes from")
	fl.StringVar(&f.id, "id", "", "id of the image, a UUID (default: the server chooses)")
	fl.StringVar(&f.store, "store", "", "store to put the bytes into (default: the server's)")
	fl.BoolVar(&f.convert, "import", false, "import the file in place of uploading it as it is")
	fl.BoolVar(&f.noWait, "no-wait", false, "do not follow an import")
	f.declare(cmd)
	return cmd
}

func (f *creating) run(g *globals, cmd *cobra.Command) error {
	switch {
	case f.file != "" && f.uri != "":
		return cli.Usage(cmd, "--file and --uri are two sources")
	case f.convert && f.file == "":
		return cli.Usage(cmd, "--import imports the FILE of --file")
	}
	record, err := f.record(cmd)
	if err != nil {
		return err
	}
	record["name"] = f.name
	if f.id != "" {
		record["id"] = f.id
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	if err := f.formats(ctx, cmd, record); err != nil {
		return err
	}
	var in *uploadFile
	if f.file != "" {
		if in, err = openUpload(cmd, f.file); err != nil {
			return err
		}
		defer in.Close()
	}
	c, err := g.client()
	if err != nil {
		return err
	}
	img, err := c.CreateImage(ctx, record)
	if err != nil {
		return err
	}
	return f.fill(ctx, g, cmd, c, img, in)
}

// formats says what the bytes are, where nobody has.
func (f *creating) formats(ctx context.Context, cmd *cobra.Command, record map[string]any) error {
	if f.file != "" && f.file != "-" && f.diskFormat == "" {
		url, err := sourceURL(f.file)
		if err != nil {
			return err
		}
		p, err := (&local{}).pipeline(cmd)
		if err != nil {
			return err
		}
		rep, err := p.Inspect(ctx, url, "")
		if err != nil {
			return err
		}
		record["disk_format"] = string(rep.DiskFormat)
		if f.container == "" {
			record["container_format"] = rep.ContainerFormat
		}
	}
	switch {
	case record["disk_format"] == nil && (f.file != "" || f.uri != ""):
		return cli.Usage(cmd, "--disk-format is not given, and cannot be found out here")
	case record["disk_format"] != nil && record["container_format"] == nil:
		record["container_format"] = "bare"
	}
	return nil
}

// fill gives a new image its bytes.
func (f *creating) fill(ctx context.Context, g *globals, cmd *cobra.Command, c *client.Client, img wire.Image, in *uploadFile) error {
	if f.uri != "" {
		err := g.importInto(ctx, cmd, c, img.ID, client.ImportMethod{Name: methodWeb, URI: f.uri, Stores: storesOf(f.store)}, f.noWait)
		return f.failed(ctx, g, cmd, c, img.ID, err)
	}
	if in == nil {
		return printImage(cmd, g, img)
	}
	if f.convert {
		if err := g.sendFile(ctx, cmd, c, img.ID, in, "stage", stage); err != nil {
			return f.failed(ctx, g, cmd, c, img.ID, err)
		}
		return g.importInto(ctx, cmd, c, img.ID, client.ImportMethod{Name: methodDirect, Stores: storesOf(f.store)}, f.noWait)
	}
	send := func(ctx context.Context, c *client.Client, id string, u client.Upload) error {
		u.Store = f.store
		return c.UploadImage(ctx, id, u)
	}
	if err := g.sendFile(ctx, cmd, c, img.ID, in, "upload", send); err != nil {
		return f.failed(ctx, g, cmd, c, img.ID, err)
	}
	img, err := c.Image(ctx, img.ID)
	if err != nil {
		return err
	}
	return printImage(cmd, g, img)
}

// failed removes the record of an image whose bytes did not arrive. One whose import was
// accepted stays: its task says what became of it.
func (f *creating) failed(ctx context.Context, g *globals, cmd *cobra.Command, c *client.Client, id string, err error) error {
	if err == nil || errors.Is(err, cli.ErrReported) || errors.Is(err, cli.ErrDetached) {
		return err
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer stop()
	if derr := c.DeleteImage(ctx, id); derr != nil && errcode.Of(derr) != errcode.NotFound {
		g.notice(cmd, "image %s has no bytes and could not be removed: ingest image delete %s", id, id)
	}
	return err
}
