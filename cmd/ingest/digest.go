package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/pipeline"
)

// A digested is the result of `ingest digest` for one image.
type digested struct {
	Source        string `json:"source"`
	DiskFormat    string `json:"disk_format"`
	VirtualSize   int64  `json:"virtual_size"` // bytes
	ContentDigest string `json:"content_digest"`
	RawSHA256     string `json:"raw_sha256,omitempty"`
}

// newDigestCommand returns `ingest digest`.
func newDigestCommand(g *globals) *cobra.Command {
	var l local
	var rawSum bool
	cmd := &cobra.Command{
		Use:   "digest SRC [SRC ...]",
		Short: "Print the content digest: the same for one disk in any format",
		Long: `Print the content digest of images: a digest of the guest's bytes, the same for a
raw, qcow2 or VMDK of one disk. docs/content-digest.md defines it.
` + packedHelp,
		Example: `  ingest digest disk.raw disk.qcow2 disk.vmdk
  ingest digest disk.vmdk --member disk-flat.vmdk
  ingest digest --raw-sha256 disk.vmdk       # equals sha256sum of the converted raw file`,
		Args: cli.Args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(l.members) > 0 && len(args) > 1 {
				return cli.Usage(cmd, "--member does not say which of the images it is of; give one SRC")
			}
			p, err := l.pipeline(cmd)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			var all []digested
			for _, arg := range args {
				one, err := l.digest(ctx, g, cmd, p, arg, rawSum)
				if err != nil {
					return fmt.Errorf("%s: %w", arg, err)
				}
				all = append(all, one)
			}
			return printDigests(g, cmd, all)
		},
	}
	l.flags(cmd)
	l.memberFlag(cmd, "SRC")
	l.diskFlag(cmd, "must be said")
	cmd.Flags().BoolVar(&rawSum, "raw-sha256", false, "also print the SHA-256 of the guest's bytes as they would stand in a raw file")
	return cmd
}

func (l *local) digest(ctx context.Context, g *globals, cmd *cobra.Command, p *pipeline.Pipeline, arg string, rawSum bool) (digested, error) {
	out := digested{Source: arg}
	url, err := sourceURL(arg)
	if err != nil {
		return out, err
	}
	members, err := membersOf(l.members)
	if err != nil {
		return out, err
	}
	disk, rep, err := p.OpenNth(ctx, url, l.from, l.disk, members...)
	if err != nil {
		return out, err
	}
	defer disk.Close()
	if _, err := pipeline.CheckDisk(ctx, disk.Disk); err != nil {
		return out, err
	}
	d := g.display(cmd)
	defer d.Close()
	d.Stage("digest")
	out.DiskFormat, out.VirtualSize = string(rep.DiskFormat), disk.Size()
	out.ContentDigest, out.RawSHA256, err = p.Digest(ctx, disk.Disk, rawSum, observe(d))
	if err == nil {
		err = disk.Unchanged(ctx)
	}
	if err == nil {
		d.Done("")
	}
	return out, err
}

// printDigests prints lines like those of sha256sum; one image as an object,
// several as a list, with --json.
func printDigests(g *globals, cmd *cobra.Command, all []digested) error {
	w := cmd.OutOrStdout()
	if g.json {
		if len(all) == 1 {
			return cli.PrintJSON(w, all[0])
		}
		return cli.PrintJSON(w, all)
	}
	for _, one := range all {
		fmt.Fprintf(w, "%s  %s\n", one.ContentDigest, cli.Clean(one.Source))
		if one.RawSHA256 != "" {
			fmt.Fprintf(w, "sha256:%s  %s\n", one.RawSHA256, cli.Clean(one.Source))
		}
	}
	return nil
}
