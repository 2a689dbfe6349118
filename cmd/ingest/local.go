package main

import (
	"net/netip"
	neturl "net/url"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ingest/formats"
	"ingest/formats/readers"
	"ingest/internal/capacity"
	"ingest/internal/cli"
	"ingest/internal/progress"
	"ingest/pipeline"
	"ingest/sources"
	"ingest/sources/file"
	glancesource "ingest/sources/glance"
	httpsource "ingest/sources/http"
)

// A local is what the commands have in common that read images without a
// server: whoever runs them may read any file that the user may.
type local struct {
	from      string
	allowNets []string
	workers   int
	memory    int64
	members   []string
	disk      int
}

// flags declares the common flags.
func (l *local) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&l.from, "from", "", "declare the source's format; it must be what is detected")
	f.StringSliceVar(&l.allowNets, "allow-net", nil, "private or loopback networks that http sources may reach, CIDR[,CIDR]")
	f.IntVar(&l.workers, "workers", 0, "cores to use (0: all)")
	f.Int64Var(&l.memory, "memory", 0, "bytes to hold at once (0: 67108864, less in a small container)")
}

// memberFlag declares the flag for the other files of an image.
func (l *local) memberFlag(cmd *cobra.Command, of string) {
	cmd.Flags().StringArrayVar(&l.members, "member", nil, "another `FILE` of "+of+" (extent file, parent disk); repeat for each")
}

// diskFlag declares the flag for one of several disks.
func (l *local) diskFlag(cmd *cobra.Command, without string) {
	cmd.Flags().IntVar(&l.disk, "disk", 0, "number of the disk, from 1, of a source that holds several, such as an OVA ("+without+")")
}

// packedHelp says in a command's help how packed sources are read.
const packedHelp = `
A disk in an OVA, a tar file or an uncompressed zip is read in place. What is compressed
with gzip, xz, zstd, bzip2 or zip is unwrapped into a file without a name in $TMPDIR
first, which needs room for what is in it (zeros cost none).`

// membersOf returns the files of --member flags. An image knows its other files
// by the names that they are given with, whatever their links lead to.
func membersOf(args []string) ([]pipeline.Member, error) {
	var out []pipeline.Member
	for _, arg := range args {
		url, err := sourceURL(arg)
		if err != nil {
			return nil, err
		}
		name := filepath.Base(arg)
		if u, err := neturl.Parse(arg); err == nil && u.Scheme != "" && strings.Contains(arg, "://") {
			name = path.Base(u.Path)
		}
		out = append(out, pipeline.Member{Name: name, URL: url})
	}
	return out, nil
}

// pipeline returns a data path without staging and without a store.
func (l *local) pipeline(cmd *cobra.Command) (*pipeline.Pipeline, error) {
	var nets []netip.Prefix
	for _, s := range l.allowNets {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, cli.Usage(cmd, "--allow-net: %q is not a network in CIDR form, such as 10.0.0.0/8", s)
		}
		nets = append(nets, p.Masked())
	}
	web := httpsource.New(httpsource.Options{AllowNets: nets})
	return &pipeline.Pipeline{
		Readers:      readers.All(),
		Sources:      sources.Set{file.New([]string{"/"}), web, glancesource.New(web, nil)},
		OutputFormat: string(formats.QCOW2),
		HashAlgo:     "sha256",
		Verify:       "full",
		Limits:       formats.DefaultLimits(),
		Workers:      l.workers,
		Memory:       copyMemory(l.memory, 1),
	}, nil
}

// copyMemory is how much a conversion holds at once: what was asked for, else what
// the container allows.
func copyMemory(asked int64, conversions int) int64 {
	if asked > 0 {
		return asked
	}
	return capacity.CopyMemory(capacity.Memory(), conversions)
}

// sourceURL makes a path absolute and follows its links: the user's own shell
// could do the same. URLs stay as they are.
func sourceURL(arg string) (string, error) {
	if strings.Contains(arg, "://") {
		return arg, nil
	}
	abs, err := filepath.Abs(arg)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real, nil
	}
	return abs, nil
}

// display returns the progress of a local command, on standard error.
func (g *globals) display(cmd *cobra.Command) *progress.Display {
	return progress.New(cmd.ErrOrStderr(), g.quiet || g.json)
}

// observe feeds a display.
func observe(d *progress.Display) pipeline.Observe {
	return func(done, total int64, _ []byte) { d.Update(done, total) }
}
