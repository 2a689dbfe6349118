package main

import (
	"github.com/spf13/cobra"

	"ingest/internal/cli"
)

// newInspectCommand returns `ingest inspect`.
func newInspectCommand(g *globals) *cobra.Command {
	var l local
	cmd := &cobra.Command{
		Use:   "inspect SOURCE",
		Short: "Say what an image is and whether it is safe, without importing it",
		Long: `Say what an image is and whether it is safe, without importing it.

SOURCE is a path, or the URL of a server that sends ranges. Every table of the image
is read and checked; nothing that it names is opened. If the disk is spread over
several files, give the others with --member: the extent files of a VMDK descriptor,
or all parents of a differencing disk. The exit code is 0 for an image
that an import would take, and 1 for one that it would refuse. Of a source that holds
several disks, all are checked.
` + packedHelp,
		Example: `  ingest inspect disk.vmdk
  ingest inspect --json disk.qcow2
  ingest inspect disk.vmdk --member disk-flat.vmdk
  ingest inspect machine.ova
  ingest inspect https://example.org/disk.qcow2`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
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
			ctx, stop := interruptible(cmd)
			defer stop()
			rep, refusal := p.Inspect(ctx, url, l.from, members...)
			if rep.FileSize == 0 {
				return refusal // it could not be read at all
			}
			if g.json {
				err = cli.PrintJSON(cmd.OutOrStdout(), rep)
			} else {
				err = rep.WriteText(cmd.OutOrStdout())
			}
			if err == nil && refusal != nil {
				err = cli.ErrReported
			}
			return err
		},
	}
	l.flags(cmd)
	l.memberFlag(cmd, "the image")
	return cmd
}
