package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime/debug"

	"github.com/spf13/cobra"

	"ingest/detect"
	"ingest/guest"
	"ingest/internal/cli"
)

// An inspecting is what `ingest inspect` was asked for.
type inspecting struct {
	local
	png   string // file to write, "" for none
	force bool
}

// inspectGC is the garbage collector's target while images are inspected, per cent of
// what is in use. The tables of a large image pass through memory by the tens of MiB:
// collecting them sooner costs some tenths of a second, and halves what is held.
const inspectGC = 25

// newInspectCommand returns `ingest inspect`.
func newInspectCommand(g *globals) *cobra.Command {
	var i inspecting
	cmd := &cobra.Command{
		Use:   "inspect SOURCE",
		Short: "Say what an image is, whether it is safe, and what is inside, without importing it",
		Long: `Say what an image is, whether it is safe, and what is inside, without importing it.

SOURCE is a path, or the URL of a server that sends ranges. Every table of the image
is read and checked; nothing that it names is opened. If the disk is spread over
several files, give the others with --member: the extent files of a VMDK descriptor,
or all parents of a differencing disk. The exit code is 0 for an image
that an import would take, and 1 for one that it would refuse. Of a source that holds
several disks, all are checked.

What is inside an image that is not refused: partitions, file systems, how a machine
boots from it, and the operating system where its file system can be read (ext4, FAT,
ISO 9660, squashfs; in a confined process). What is found there never refuses an image.
` + packedHelp,
		Example: `  ingest inspect disk.vmdk
  ingest inspect --json disk.qcow2
  ingest inspect disk.vhd --png layout.png
  ingest inspect disk.vmdk --member disk-flat.vmdk
  ingest inspect machine.ova
  ingest inspect https://example.org/disk.qcow2`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return i.run(g, cmd, args[0]) },
	}
	i.flags(cmd)
	i.memberFlag(cmd, "the image")
	f := cmd.Flags()
	f.StringVar(&i.png, "png", "", "write the layout of the partitions as a picture to this `FILE`")
	f.BoolVar(&i.force, "force", false, "replace the FILE of --png if it exists")
	return cmd
}

func (i *inspecting) run(g *globals, cmd *cobra.Command, arg string) error {
	defer debug.SetGCPercent(debug.SetGCPercent(inspectGC))
	if i.force && i.png == "" {
		return cli.Usage(cmd, "--force is about the file of --png")
	}
	p, err := i.pipeline(cmd)
	if err != nil {
		return err
	}
	url, err := sourceURL(arg)
	if err != nil {
		return err
	}
	if i.png != "" && sameFile(url, i.png) {
		return cli.Usage(cmd, "--png would replace the image itself")
	}
	members, err := membersOf(i.members)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	rep, refusal := p.Inspect(ctx, url, i.from, members...)
	if rep.FileSize == 0 {
		return refusal // it could not be read at all
	}
	var facts []guest.Facts
	if refusal == nil {
		if facts, err = inside(ctx, p, url, i.from, rep, members); err != nil {
			return err
		}
	}
	if err := i.print(g, cmd, arg, rep, facts); err != nil {
		return err
	}
	if refusal != nil {
		return cli.ErrReported
	}
	return i.draw(ctx, g, cmd, arg, facts)
}

// print writes the report and what is inside.
func (i *inspecting) print(g *globals, cmd *cobra.Command, arg string, rep detect.Report, facts []guest.Facts) error {
	w := cmd.OutOrStdout()
	if g.json {
		return cli.PrintJSON(w, newInspection(rep, facts))
	}
	if err := rep.WriteText(w); err != nil {
		return err
	}
	width, _, _ := screen(w)
	for n, f := range facts {
		fmt.Fprintln(w)
		if len(facts) > 1 {
			fmt.Fprintf(w, "inside disk %d of %d: ", n+1, len(facts))
		}
		if err := writeFacts(w, f, arg, width); err != nil {
			return err
		}
	}
	return nil
}

// draw writes the picture of the first disk, if there is to be one.
func (i *inspecting) draw(ctx context.Context, g *globals, cmd *cobra.Command, arg string, facts []guest.Facts) error {
	if i.png == "" || len(facts) == 0 {
		return nil
	}
	if len(facts) > 1 {
		g.notice(cmd, "the picture is of the first of %d disks", len(facts))
	}
	if err := writeLayout(ctx, layoutOf(facts[0], filepath.Base(arg)), i.png, i.force); err != nil {
		return err
	}
	g.notice(cmd, "wrote %s", cli.Clean(i.png))
	return nil
}
