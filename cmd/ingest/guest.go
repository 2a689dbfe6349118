package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"ingest/detect"
	"ingest/guest"
	"ingest/guest/child"
	"ingest/guest/listing"
	"ingest/internal/cli"
	"ingest/internal/config"
	"ingest/pipeline"
)

// guestChild is the name of the hidden subcommand.
const guestChild = "guest-child"

// newGuestChildCommand returns the subcommand that this program starts itself as, to
// read file systems in a process that may die of them.
func newGuestChildCommand() *cobra.Command {
	return &cobra.Command{
		Use:     guestChild,
		Short:   "Read file systems for another process of ingest, which starts this one",
		Example: `  ingest guest-child                          # not of use by hand`,
		Hidden:  true,
		Args:    cli.Args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if child.Main(listing.List) != 0 {
				return cli.ErrReported
			}
			return nil
		},
	}
}

// lister returns what reads file systems within limits, nil if this program cannot
// start itself.
func lister(l child.Limits) guest.Lister {
	// The program that runs, even if its file was replaced meanwhile: another version
	// may speak otherwise.
	path := "/proc/self/exe"
	if _, err := os.Stat(path); err != nil {
		if path, err = os.Executable(); err != nil {
			return nil
		}
	}
	return child.Runner{Path: path, Args: []string{guestChild}, Limits: l}
}

// guestOptions returns how imports look inside disks, nil if they do not.
func guestOptions(i config.Inspect) *pipeline.GuestOptions {
	if !i.On {
		return nil
	}
	return &pipeline.GuestOptions{Lister: lister(i.Limits), Longest: i.Longest()}
}

// inside says what is on the disks of a source that is not refused, in their order.
func inside(ctx context.Context, p *pipeline.Pipeline, url, declared string, rep detect.Report, members []pipeline.Member) ([]guest.Facts, error) {
	var out []guest.Facts
	for n := 1; n <= max(len(rep.Disks), 1); n++ {
		f, err := insideDisk(ctx, p, url, declared, n, members)
		if err != nil {
			return out, err
		}
		out = append(out, f)
	}
	return out, nil
}

func insideDisk(ctx context.Context, p *pipeline.Pipeline, url, declared string, n int, members []pipeline.Member) (f guest.Facts, err error) {
	disk, _, err := p.OpenNth(ctx, url, declared, n, members...)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	if err := disk.Info().Unreadable; err != nil {
		return f, err
	}
	f, err = guest.Inspect(ctx, disk, disk.Size(), lister(child.DefaultLimits()))
	return f, errors.Join(err, disk.Unchanged(ctx))
}
