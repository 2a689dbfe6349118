package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/pipeline"
)

// A compared is the result of `ingest compare`.
type compared struct {
	Same       bool                 `json:"same"`
	Padded     bool                 `json:"padded,omitempty"` // one is longer, by zeros only
	Difference *pipeline.Difference `json:"difference,omitempty"`
}

// newCompareCommand returns `ingest compare`.
func newCompareCommand(g *globals) *cobra.Command {
	var l local
	var membersB []string
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "Compare the guest content of two images, or show the first difference",
		Long: `Compare the guest content of two images of any formats, or show the first difference.

Disks of different virtual sizes are the same if the longer one has only zeros behind
the end of the other. The exit code is 0 if they are the same, and 1 if not.
` + packedHelp,
		Example: `  ingest compare disk.vmdk disk.qcow2
  ingest compare disk.vmdk other.vmdk --member disk-flat.vmdk --member-b other-flat.vmdk`,
		Args: cli.Args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if l.from != "" {
				return cli.Usage(cmd, "--from does not say which of the two images it is about")
			}
			p, err := l.pipeline(cmd)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			var disks [2]*pipeline.OpenDisk
			for i, arg := range args {
				url, err := sourceURL(arg)
				if err != nil {
					return err
				}
				members, err := membersOf([][]string{l.members, membersB}[i])
				if err != nil {
					return err
				}
				if disks[i], _, err = p.OpenURL(ctx, url, "", members...); err != nil {
					return fmt.Errorf("%s: %w", arg, err)
				}
				defer disks[i].Close()
				if _, err := pipeline.CheckDisk(ctx, disks[i].Disk); err != nil {
					return fmt.Errorf("%s: %w", arg, err)
				}
			}
			d := g.display(cmd)
			defer d.Close()
			d.Stage("compare")
			var out compared
			out.Difference, out.Padded, err = p.Compare(ctx, disks[0].Disk, disks[1].Disk, observe(d))
			if err := errors.Join(err, disks[0].Unchanged(ctx), disks[1].Unchanged(ctx)); err != nil {
				return err
			}
			d.Done("")
			out.Same = out.Difference == nil
			return printCompared(g, cmd, args, out)
		},
	}
	l.flags(cmd)
	l.memberFlag(cmd, "A")
	cmd.Flags().StringArrayVar(&membersB, "member-b", nil, "another `FILE` of B; repeat for each")
	return cmd
}

func printCompared(g *globals, cmd *cobra.Command, args []string, c compared) error {
	w := cmd.OutOrStdout()
	var err error
	switch diff := c.Difference; {
	case g.json:
		err = cli.PrintJSON(w, c)
	case diff != nil && diff.What == "size":
		fmt.Fprintf(w, "different: one disk ends before guest offset %d, where the other holds data (virtual sizes %d and %d)\n", diff.Off, diff.SizeA, diff.SizeB)
	case diff != nil:
		fmt.Fprintf(w, "different: guest offset %d: %#02x in %s, %#02x in %s\n", diff.Off, diff.A, cli.Clean(args[0]), diff.B, cli.Clean(args[1]))
	case c.Padded:
		fmt.Fprintln(w, "same content; one disk is longer, by zeros only")
	default:
		fmt.Fprintln(w, "same content")
	}
	if err == nil && !c.Same {
		err = cli.ErrReported
	}
	return err
}
