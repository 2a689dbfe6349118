package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/internal/client"
	"ingest/internal/errcode"
	"ingest/internal/progress"
)

func newImageUploadCommand(g *globals) *cobra.Command {
	var store string
	cmd := &cobra.Command{
		Use:   "upload IMAGE FILE",
		Short: "Give a queued image its bytes",
		Long: `Give a queued image its bytes, which are kept as they are. FILE may be - for standard
input. An upload that breaks off leaves the image queued and nothing behind.`,
		Example: `  ingest image upload debian-12 debian-12.qcow2
  zstd -dc disk.raw.zst | ingest image upload debian-12 -`,
		Args:              cli.Args(cobra.ExactArgs(2)),
		ValidArgsFunction: g.completeImage(cobra.ShellCompDirectiveDefault),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.sendBytes(cmd, args[0], args[1], "upload", func(ctx context.Context, c *client.Client, id string, u client.Upload) error {
				u.Store = store
				return c.UploadImage(ctx, id, u)
			})
		},
	}
	cmd.Flags().StringVar(&store, "store", "", "store to put the bytes into (default: the server's)")
	return cmd
}

func newImageStageCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "stage IMAGE FILE",
		Short: "Give a queued image bytes that an import takes then",
		Long: `Give a queued image bytes that an import takes then (ingest image import). FILE may be -
for standard input.`,
		Example: `  ingest image stage debian-12 debian-12.vmdk
  ingest image import debian-12`,
		Args:              cli.Args(cobra.ExactArgs(2)),
		ValidArgsFunction: g.completeImage(cobra.ShellCompDirectiveDefault),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.sendBytes(cmd, args[0], args[1], "stage", stage)
		},
	}
}

// A sending sends bytes to where they belong.
type sending func(ctx context.Context, c *client.Client, id string, u client.Upload) error

// sendBytes sends a file to an image, and tells what became of it.
func (g *globals) sendBytes(cmd *cobra.Command, name, path, as string, send sending) error {
	in, err := openUpload(cmd, path)
	if err != nil {
		return err
	}
	defer in.Close()
	c, err := g.client()
	if err != nil {
		return err
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	img, err := findImage(ctx, c, name)
	if err != nil {
		return err
	}
	// Some servers refuse only at the end of all bytes.
	if img.Status != "queued" {
		return errcode.New(errcode.Conflict, "image %s is %s: only a queued one takes bytes", img.ID, img.Status).
			With(errcode.Evidence{Structure: "image " + img.ID, Field: "status", Value: img.Status, Limit: "queued"})
	}
	if err := g.sendFile(ctx, cmd, c, img.ID, in, as, send); err != nil {
		return err
	}
	if img, err = c.Image(ctx, img.ID); err != nil {
		return err
	}
	return printImage(cmd, g, img)
}

// sendFile sends a file with its progress.
func (g *globals) sendFile(ctx context.Context, cmd *cobra.Command, c *client.Client, id string, in *uploadFile, as string, send sending) error {
	d := progress.New(cmd.ErrOrStderr(), g.quiet)
	defer d.Close()
	d.Stage(as)
	if err := send(ctx, c, id, client.Upload{Body: &counted{in, d, in.size, 0}, Size: in.size}); err != nil {
		var file *os.PathError
		if errors.As(err, &file) {
			return file // this machine's disk, not the server
		}
		return err
	}
	d.Done("")
	return nil
}

// An uploadFile is a file to send, or standard input.
type uploadFile struct {
	io.ReadCloser
	size int64 // bytes, -1 if unknown
}

func openUpload(cmd *cobra.Command, path string) (*uploadFile, error) {
	if path == "-" {
		return &uploadFile{io.NopCloser(cmd.InOrStdin()), -1}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && fi.IsDir() {
		err = errcode.New(errcode.BadRequest, "%s is a folder", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	if !fi.Mode().IsRegular() { // a pipe or a disk does not tell its size
		return &uploadFile{f, -1}, nil
	}
	return &uploadFile{f, fi.Size()}, nil
}

// counted shows how much was read.
type counted struct {
	io.Reader
	d     *progress.Display
	total int64
	done  int64
}

func (r *counted) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.done += int64(n)
	r.d.Update(r.done, r.total)
	return n, err
}

// stage is the sending of bytes that an import takes.
func stage(ctx context.Context, c *client.Client, id string, u client.Upload) error {
	return c.StageImage(ctx, id, u)
}
