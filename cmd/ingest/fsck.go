package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/internal/contract"
	"ingest/internal/fsck"
	"ingest/internal/progress"
	"ingest/internal/reconcile"
)

// reconciler brings the catalogue and the workflow service in step.
func (s *services) reconciler() *reconcile.Reconciler {
	return &reconcile.Reconciler{Catalogue: s.catalogue, Workflows: reconcile.Temporal{Client: s.client}, Cleaner: s.sweeper, Bulks: s.importer, Log: s.log}
}

// checker is what stands behind `ingest fsck`.
func (s *services) checker() *fsck.Checker {
	return &fsck.Checker{Catalogue: s.catalogue, Stores: s.pipeline.Stores, Sweeper: s.sweeper,
		Workflows: reconcile.Temporal{Client: s.client}, Reconciler: s.reconciler(), Log: s.log}
}

// A checkReport is what `ingest fsck --json` prints.
type checkReport struct {
	contract.CheckFigures
	Found []contract.Difference `json:"found"`
}

func newFsckCommand(g *globals) *cobra.Command {
	var p contract.CheckParams
	var age time.Duration
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Compare the catalogue with the stores, both ways, and mend what differs",
		Long: `Compare the catalogue with the stores, the staging folder and the workflow service, both
ways: objects that are missing, of the wrong size or (with --read) with other bytes than
were stored; objects, uploads, staged files and promises of space that are nobody's;
tasks and images that nothing works on.

With --repair, what is nobody's is removed, what is stuck goes on or is given back, and
an image whose bytes are not right is deactivated. Safe while the server works: what was
touched within --older-than is spared. The exit code is 1 if a difference is left.`,
		Example: `  ingest fsck
  ingest fsck --read --repair
  ingest fsck --json`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.AgeSeconds = age.Seconds()
			if err := p.Reap().Check(); err != nil || age <= 0 {
				return cli.Usage(cmd, "--older-than %v: an age is at least %v", age, contract.LeastReapAge)
			}
			return runFsck(cmd, g, p)
		},
	}
	cmd.Flags().BoolVar(&p.Read, "read", false, "read all stored bytes back and compare their digests")
	cmd.Flags().BoolVar(&p.Repair, "repair", false, "mend what can be mended")
	cmd.Flags().DurationVar(&age, "older-than", contract.DefaultReapAge, "spare what was touched within this time")
	return cmd
}

func runFsck(cmd *cobra.Command, g *globals, p contract.CheckParams) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	d := progress.New(cmd.ErrOrStderr(), g.quiet || !p.Read)
	defer d.Close()
	if p.Read {
		d.Stage("read back")
	}
	report := checkReport{Found: []contract.Difference{}}
	report.CheckFigures, err = c.Check(ctx, p, func(line contract.CheckLine) {
		if line.Difference != nil {
			report.Found = append(report.Found, *line.Difference)
		}
		if line.Progress != nil && p.Read {
			d.Update(line.Progress.Bytes, line.Progress.BytesTotal)
		}
	})
	if err != nil {
		return err
	}
	if p.Read {
		d.Update(report.Bytes, report.BytesTotal)
		d.Done("")
	}
	if g.json {
		err = cli.PrintJSON(cmd.OutOrStdout(), report)
	} else {
		err = report.print(cmd.OutOrStdout())
	}
	if err == nil && report.Differences > report.Repaired {
		return cli.ErrReported
	}
	return err
}

func (r checkReport) print(out io.Writer) error {
	if len(r.Found) > 0 {
		rows := make([][]string, 0, len(r.Found))
		for _, x := range r.Found {
			mended := ""
			if x.Repaired {
				mended = "mended"
			}
			rows = append(rows, []string{x.Kind, x.Store, x.Name, mended, x.Message, x.Remedy})
		}
		if err := cli.Table(out, []string{"DIFFERENCE", "STORE", "NAME", "STATE", "BECAUSE", "WHAT TO DO"}, rows); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	read := ""
	if r.BytesTotal > 0 {
		read = fmt.Sprintf(", %s read back", progress.Bytes(r.Bytes))
	}
	_, err := fmt.Fprintf(out, "%d images looked at%s: %d differences, %d mended\n", r.Images, read, r.Differences, r.Repaired)
	return err
}
