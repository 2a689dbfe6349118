// Command bulkbench measures what an import in bulk costs beside the work on bytes: how
// long the histories of its workflows are, how much memory the worker holds as it goes on,
// and how much processor time an item takes, beside bare workflows with as many activities
// that do nothing. docs/scaling.md says how to read it.
//
// The Temporal server, the worker and the bare worker are processes of their own, so that
// what each of them takes can be told apart.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	ingest    string
	dir       string // for everything that is written
	items     int    // of the large bulk
	pairs     int
	pairItems int
	window    int           // items that run at once
	imports   int           // of the server
	longest   time.Duration // of the large bulk
	profile   string
	keep      bool
	bare      string // address that the bare worker is to serve
	namespace string // that it serves
}

func (o *options) declare(f *flag.FlagSet) {
	f.StringVar(&o.ingest, "ingest", "bin/ingest", "the ingest binary")
	f.StringVar(&o.dir, "dir", "", "folder for what the servers write (default: a temporary one)")
	f.IntVar(&o.items, "items", 10_000, "items of the large bulk; 0 leaves it out")
	f.IntVar(&o.pairs, "pairs", 3, "pairs of a bulk and bare workflows; the median counts; 0 leaves them out")
	f.IntVar(&o.pairItems, "pair-items", 1000, "items of each bulk of a pair")
	f.IntVar(&o.window, "window", 8, "items that run at once: as many as a bulk has by itself")
	f.IntVar(&o.imports, "imports", 2, "imports that the server converts at once")
	f.DurationVar(&o.longest, "for", 0, "how long the large bulk may take; the figures are then those of what is done (default: to its end)")
	f.StringVar(&o.profile, "profile", "", "folder for processor profiles of the servers, numbered by side")
	f.BoolVar(&o.keep, "keep", false, "keep the folders of the servers")
	f.StringVar(&o.bare, "bare-worker", "", "run the bare worker on the Temporal server at this address (the tool starts itself so)")
	f.StringVar(&o.namespace, "namespace", "", "namespace of the bare worker")
}

func main() {
	var o options
	o.declare(flag.CommandLine)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if o.bare != "" {
		err = serveBare(o.bare, o.namespace, os.Stdin, os.Stdout)
	} else {
		err = run(ctx, o, os.Stdout)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bulkbench: "+err.Error())
		os.Exit(1)
	}
}

// run measures what is asked for, and prints it.
func run(ctx context.Context, o options, w io.Writer) (err error) {
	if o.pairs < 0 || o.items < 0 || o.pairItems < 1 || o.window < 1 {
		return errors.New("-items and -pairs cannot be less than 0, -pair-items and -window not less than 1")
	}
	if o.ingest, err = filepath.Abs(o.ingest); err != nil {
		return err
	}
	if o.profile != "" {
		if o.profile, err = filepath.Abs(o.profile); err != nil {
			return err
		}
		if err := os.MkdirAll(o.profile, 0o700); err != nil {
			return err
		}
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "bulkbench-"); err != nil {
			return err
		}
		if !o.keep {
			defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
		}
	}
	origin := newOrigin()
	defer origin.Close()
	b := &bench{o: o, origin: origin, out: w}
	var over error
	if o.pairs > 0 {
		if over, err = b.compare(ctx); err != nil {
			return err
		}
	}
	if o.items > 0 {
		err = b.large(ctx)
	}
	return errors.Join(over, err)
}

// A bench is one run of the tool.
type bench struct {
	o      options
	origin *origin
	out    io.Writer
	runs   int // sides that were measured
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.out, format+"\n", args...) }

// folder makes one for the next side.
func (b *bench) folder() (dir string, remove func(), err error) {
	b.runs++
	dir = filepath.Join(b.o.dir, fmt.Sprintf("%03d", b.runs))
	remove = func() {
		if !b.o.keep {
			_ = os.RemoveAll(dir)
		}
	}
	return dir, remove, os.MkdirAll(dir, 0o700)
}
