package main

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/client"
	"ingest/internal/errcode"
	"ingest/internal/progress"
)

// saveTries is how often a download that broke off is taken up again without
// having got any further.
const saveTries = 3

func newImageSaveCommand(g *globals) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "save IMAGE FILE",
		Short: "Download an image's bytes into a file",
		Long: `Download an image's bytes into a file.

The file appears under its name when all bytes are there and have the image's
digest, and not before. A download that breaks off is taken up again; if that does not
help, or with Ctrl-C, what is there is kept beside FILE, and the same command goes on
from there.`,
		Example: `  ingest image save debian-12 debian-12.qcow2
  ingest image save 0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11 disk.qcow2`,
		Args:              cli.Args(cobra.ExactArgs(2)),
		ValidArgsFunction: g.completeImage(cobra.ShellCompDirectiveDefault),
		RunE: func(cmd *cobra.Command, args []string) error {
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
			// Who may read the bytes of a deactivated image, the server knows.
			if img.Status != "active" && img.Status != "deactivated" || img.Size == nil {
				return errcode.New(errcode.Conflict, "image %s is %s and has no bytes to save", img.ID, img.Status)
			}
			d := progress.New(cmd.ErrOrStderr(), g.quiet)
			defer d.Close()
			if err := saveImage(ctx, c, img, args[1], force, d); err != nil {
				d.Close()
				if n := partSize(args[1], img); n > 0 {
					g.notice(cmd, "%d of %d bytes are kept; the same command goes on from there", n, *img.Size)
				}
				return err
			}
			d.Done("")
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), map[string]any{"image_id": img.ID, "file": args[1], "size": *img.Size, "os_hash_algo": img.HashAlgo, "os_hash_value": img.HashValue})
			}
			g.notice(cmd, "%s: %d bytes, digest checked", cli.Clean(args[1]), *img.Size)
			return nil
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace FILE if it exists")
	return cmd
}

// saveImage writes an image's bytes beside path, checks them and gives them their
// name. What a run before this one has left there is gone on with.
func saveImage(ctx context.Context, c *client.Client, img wire.Image, path string, force bool, d *progress.Display) error {
	sum, want, err := imageDigest(img)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil && !force {
		return errcode.New(errcode.DestinationExist, "%s exists already", path)
	}
	part, err := openPart(path, img.ID, want)
	if err != nil {
		return err
	}
	defer part.Close()
	have, err := part.take(ctx, sum, *img.Size, d)
	if err != nil {
		return err
	}
	d.Stage("save")
	if err := fetchImage(ctx, c, img, io.MultiWriter(part, sum), have, d); err != nil {
		part.keep()
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return errcode.New(errcode.VerifyMismatch, "the bytes of image %s do not have its digest", img.ID).
			With(errcode.Evidence{Structure: "image " + img.ID, Field: "digest", Value: got, Limit: want})
	}
	return part.commit(path, force)
}

// imageDigest returns what an image's bytes are held against: the digest that the server
// keeps, or the MD5 of an image that is older than that.
func imageDigest(img wire.Image) (sum hash.Hash, want string, err error) {
	if img.HashAlgo == "" && img.HashValue == "" && len(img.Checksum) == hex.EncodedLen(md5.Size) {
		return md5.New(), strings.ToLower(img.Checksum), nil
	}
	sum, err = imageHasher(img.HashAlgo)
	return sum, img.HashValue, err
}

func imageHasher(algo string) (hash.Hash, error) {
	switch algo {
	case "sha256":
		return sha256.New(), nil
	case "sha384":
		return sha512.New384(), nil
	case "sha512":
		return sha512.New(), nil
	}
	return nil, errcode.New(errcode.Conflict, "the image has no digest that can be checked (os_hash_algo is %q)", algo)
}

// fetchImage downloads an image's bytes behind those that are done. What breaks off is taken up where it
// broke: an active image's bytes never change, and the digest judges the whole.
func fetchImage(ctx context.Context, c *client.Client, img wire.Image, w io.Writer, done int64, d *progress.Display) error {
	total, etag := *img.Size, ""
	for tries := 0; done < total; tries++ {
		before := done
		err := fetchImageFrom(ctx, c, img, w, &done, &etag, d)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if done > before {
			tries = 0
		}
		var local *localError
		if errors.As(err, &local) {
			return local.error
		}
		if err != nil && (tries+1 >= saveTries || !errcode.Lookup(errcode.Of(err)).Retryable) {
			return err
		}
	}
	return nil
}

// localError is an error of writing, which no second download mends.
type localError struct{ error }

func fetchImageFrom(ctx context.Context, c *client.Client, img wire.Image, w io.Writer, done *int64, etag *string, d *progress.Display) error {
	body, err := c.Download(ctx, img, *done, *etag)
	if err != nil {
		return err
	}
	defer body.Close()
	*etag = body.ETag
	total := *img.Size
	buf := make([]byte, 256<<10)
	for *done < total {
		n, err := body.Read(buf[:min(int64(len(buf)), total-*done)])
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return &localError{werr}
			}
			*done += int64(n)
			d.Update(*done, total)
		}
		if err != nil && *done < total {
			return errcode.Wrap(err, errcode.ServerUnreachable, "the download of image %s broke off after %d of %d bytes", img.ID, *done, total)
		}
	}
	return nil
}
