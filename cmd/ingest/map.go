package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ingest/formats"
	"ingest/internal/cli"
	"ingest/internal/diskmap"
	"ingest/internal/errcode"
	"ingest/pipeline"
	"ingest/stores"
	"ingest/stores/fs"
)

// A mapping is what `ingest map` was asked for.
type mapping struct {
	local
	summary bool
	png     string // file to write, "" for none
	force   bool
}

// newMapCommand returns `ingest map`.
func newMapCommand(g *globals) *cobra.Command {
	var m mapping
	cmd := &cobra.Command{
		Use:   "map SRC",
		Short: "Show where an image holds data, zeros and holes",
		Long: `Show where an image holds data, zeros and holes: as a picture of characters that fits
the terminal, as a PNG, or as JSON with every extent. Only the image's tables are read,
not its data. Use ` + "`ingest inspect`" + ` to have the whole image checked.

  data        stored as it is             zero   stored as zeros, or marked as zero
  compressed  stored compressed           hole   never written; reads as zeros

A character or square of the map stands for many guest bytes. Whatever lies in it shows,
if only as a trace. Offsets are guest offsets. The last line tells how plain data lies in
the file: in order means that it can be read from begin to end without seeking.

JSON streams: extents in ascending order, then totals. host_offset is there for plain data
only. An image that turns out to be damaged on the way leaves the JSON unfinished and ends
with exit code 1.
` + packedHelp,
		Example: `  ingest map disk.qcow2
  ingest map --png map.png disk.vmdk
  ingest map --json --summary disk.qcow2       # totals only
  ingest map --json disk.vhd | jq '.extents[] | select(.state == "data")'`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return m.run(g, cmd, args[0]) },
	}
	m.flags(cmd)
	m.memberFlag(cmd, "SRC")
	m.diskFlag(cmd, "must be said")
	f := cmd.Flags()
	f.BoolVar(&m.summary, "summary", false, "leave out the map, or the extents of --json: totals only")
	f.StringVar(&m.png, "png", "", "write the map as a picture to this `FILE`")
	f.BoolVar(&m.force, "force", false, "replace the FILE of --png if it exists")
	return cmd
}

func (m *mapping) run(g *globals, cmd *cobra.Command, arg string) error {
	if m.png != "" && (g.json || m.summary) {
		return cli.Usage(cmd, "--png goes with neither --json nor --summary")
	}
	if m.force && m.png == "" {
		return cli.Usage(cmd, "--force is about the file of --png")
	}
	p, err := m.pipeline(cmd)
	if err != nil {
		return err
	}
	url, err := sourceURL(arg)
	if err != nil {
		return err
	}
	if m.png != "" && sameFile(url, m.png) {
		return cli.Usage(cmd, "--png would replace the image itself")
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	members, err := membersOf(m.members)
	if err != nil {
		return err
	}
	disk, _, err := p.OpenNth(ctx, url, m.from, m.disk, members...)
	if err != nil {
		return err
	}
	defer disk.Close()
	if err := disk.Info().Unreadable; err != nil {
		return err
	}
	if disk.Size() == 0 {
		return errcode.New(errcode.VirtualSizeZero, "the disk has zero bytes")
	}
	head := diskmap.HeadOf(arg, disk.Disk)
	switch {
	case m.png != "":
		return m.writePNG(ctx, g, cmd, head, disk)
	case g.json:
		err := diskmap.WriteJSON(cmd.OutOrStdout(), head, extents(ctx, disk), m.summary)
		if err == nil {
			err = disk.Unchanged(ctx)
		}
		return err
	default:
		return m.writeText(ctx, cmd, head, disk)
	}
}

// extents yields the disk's extents and stops when the context ends.
func extents(ctx context.Context, disk formats.Disk) iter.Seq2[formats.Extent, error] {
	return func(yield func(formats.Extent, error) bool) {
		for e, err := range formats.Extents(disk, 0, disk.Size()) {
			if err == nil {
				err = ctx.Err()
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// build makes the map, of a source that was the same from begin to end.
func build(ctx context.Context, head diskmap.Head, disk *pipeline.OpenDisk, columns, rows int) (*diskmap.Map, error) {
	out, err := diskmap.Build(head, extents(ctx, disk), columns, rows)
	if err != nil {
		return nil, err
	}
	return out, disk.Unchanged(ctx)
}

func (m *mapping) writeText(ctx context.Context, cmd *cobra.Command, head diskmap.Head, disk *pipeline.OpenDisk) error {
	width, height, terminal := screen(cmd.OutOrStdout())
	columns, rows := diskmap.TextGrid(width, height)
	out, err := build(ctx, head, disk, columns, rows)
	if err != nil {
		return err
	}
	style := diskmap.TextStyle{Colour: terminal && os.Getenv("NO_COLOR") == "", NoGrid: m.summary}
	return out.WriteText(cmd.OutOrStdout(), style)
}

// screen returns the size of the terminal behind w in characters, and whether
// there is one; a file is as wide as the narrowest usual terminal.
func screen(w io.Writer) (width, height int, terminal bool) {
	width, height = 80, 31
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return width, height, false
	}
	if x, y, err := term.GetSize(int(f.Fd())); err == nil && x > 0 && y > 0 {
		return x, y, true
	}
	return width, height, true
}

// writePNG draws the map and writes it, whole or not at all.
func (m *mapping) writePNG(ctx context.Context, g *globals, cmd *cobra.Command, head diskmap.Head, disk *pipeline.OpenDisk) error {
	up, err := fs.BeginFile(m.png, m.force)
	if err != nil {
		return err
	}
	defer up.Close()
	// Aborts whatever was not committed, also after a cancel.
	defer up.Abort(context.WithoutCancel(ctx))
	head.Source = filepath.Base(head.Source)
	columns, rows := diskmap.PictureGrid(disk.Size())
	out, err := build(ctx, head, disk, columns, rows)
	if err != nil {
		return err
	}
	var picture bytes.Buffer
	if err := out.WritePNG(&picture); err != nil {
		return fmt.Errorf("draw the map: %w", err)
	}
	if _, err := up.WriteAt(picture.Bytes(), 0); err != nil {
		return err
	}
	size := int64(picture.Len())
	if err := up.Seal(ctx, size); err != nil {
		return err
	}
	if err := up.Commit(ctx, stores.Digest{Size: size}); err != nil {
		return err
	}
	g.notice(cmd, "wrote %s", cli.Clean(m.png))
	return nil
}

// sameFile reports whether both names are of one file that exists.
func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
