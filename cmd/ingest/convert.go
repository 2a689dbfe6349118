package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/internal/contract"
	"ingest/pipeline"
	"ingest/stores"
	"ingest/stores/fs"
)

// newConvertCommand returns `ingest convert`.
func newConvertCommand(g *globals) *cobra.Command {
	var l local
	var t contract.TargetSpec
	var verify, force bool
	cmd := &cobra.Command{
		Use:   "convert SRC DST --to FORMAT",
		Short: "Convert an image into another format, without a server",
		Long: `Convert an image into another format, without a server.

DST appears whole or not at all. What can be written, and what each format takes:

  raw     --compression none                sparse: zeros take no room
  qcow2   --compression none, zlib, zstd    version 3, clusters of 64 KiB

Without --to, DST's extension decides (.raw, .img, .qcow2).

If the disk is spread over several files, SRC is its descriptor or youngest child, and
--member gives each of the others: the extent files of a VMDK descriptor, or all
parents of a differencing disk.`,
		Example: `  ingest convert disk.vmdk disk.qcow2
  ingest convert disk.vhd disk.img --to raw --verify
  ingest convert disk.vmdk disk.qcow2 --member disk-s001.vmdk --member disk-s002.vmdk
  ingest convert child.vhd disk.qcow2 --member parent.vhd
  ingest convert https://example.org/disk.vmdk disk.qcow2 --compression zstd`,
		Args: cli.Args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if t.Format == "" {
				t.Format = formatOfName(args[1])
			}
			if t.Format == "" {
				return cli.Usage(cmd, "say with --to which format %s shall have: %s", args[1], strings.Join(pipeline.Targets(), ", "))
			}
			p, err := l.pipeline(cmd)
			if err != nil {
				return err
			}
			url, err := sourceURL(args[0])
			if err != nil {
				return err
			}
			members, err := membersOf(l.members)
			if err != nil {
				return err
			}
			d := g.display(cmd)
			defer d.Close()
			ctx, stop := interruptible(cmd)
			defer stop()
			begin := func() (stores.Upload, error) { return fs.BeginFile(args[1], force) }
			out, err := p.ConvertTo(ctx, url, l.from, members, t, verify, begin, d.Stage, observe(d))
			if err != nil {
				return err
			}
			d.Done("")
			return printConversion(g, cmd, args[1], out)
		},
	}
	l.flags(cmd)
	l.memberFlag(cmd, "SRC")
	f := cmd.Flags()
	f.StringVar(&t.Format, "to", "", "format to write: "+strings.Join(pipeline.Targets(), ", "))
	f.StringVar(&t.Compression, "compression", "", "none, zlib, zstd (default none)")
	f.BoolVar(&verify, "verify", false, "read DST back and compare its content with the source's")
	f.BoolVar(&force, "force", false, "replace DST if it exists")
	return cmd
}

// formatOfName returns the format that a file's extension stands for.
func formatOfName(name string) string {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".raw", ".img":
		return "raw"
	case ".qcow2":
		return "qcow2"
	}
	return ""
}

func printConversion(g *globals, cmd *cobra.Command, dst string, c pipeline.Conversion) error {
	w := cmd.OutOrStdout()
	if g.json {
		return cli.PrintJSON(w, c)
	}
	verified := ""
	if c.Verified {
		verified = "read back and equal"
	}
	return cli.Fields(w,
		"file", dst,
		"format", strings.TrimSuffix(c.Target.Format+" "+c.Target.Compression, " none"),
		"virtual size", sizeField(&c.VirtualSize),
		"file size", sizeField(&c.FileSize),
		"content digest", c.ContentDigest,
		"verified", verified,
		"sha256", c.HashValue,
	)
}
