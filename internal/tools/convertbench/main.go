// Command convertbench measures what ingest takes beside what people use instead, on one
// disk of a real file system: `ingest convert` beside `qemu-img convert`, a whole import
// beside curl, qemu-img and openssl one after the other, and beside Glance. It prints a
// Markdown table with the ratio of each pair and whether it is within its limit, and ends
// with 1 if one is not. docs/performance.md says how to read it.
//
// Both of a pair run one after the other, in turns, on warm sources. What they wrote is
// compared with the source (qemu-img compare), outside the time that is taken.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"

	"ingest/internal/tools/sizeflag"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// options are the flags.
type options struct {
	ingest string
	dir    string // of the sources that are made
	work   string // of what is written, "" for a folder in dir
	from   string // folder whose files fill the disk
	size   sizeflag.Size
	pairs  int
	only   *regexp.Regexp
	keep   bool
	json   bool
	check  bool
	list   bool
	cache  string // qemu-img's -t
	glance glance
}

func (o *options) declare(f *flag.FlagSet) {
	o.size = 6 * gib
	f.StringVar(&o.ingest, "ingest", "bin/ingest", "the ingest binary")
	f.StringVar(&o.dir, "dir", "", "folder of the disk and of what is made of it; what lies there already is used (default: a temporary one)")
	f.StringVar(&o.work, "work", "", "folder for what is converted and imported (default: one in --dir)")
	f.StringVar(&o.from, "from", "/usr/lib", "folder whose files fill the disk, to two thirds at most")
	f.Var(&o.size, "size", "virtual size of the disk; about four times as much is needed of the file system")
	f.IntVar(&o.pairs, "pairs", 5, "how often each pair runs; the median counts")
	f.Func("only", "rows whose `group: name` the pattern matches", func(v string) (err error) {
		o.only, err = regexp.Compile("(?i)" + v)
		return err
	})
	f.BoolVar(&o.keep, "keep", false, "keep the sources in --dir")
	f.BoolVar(&o.json, "json", false, "print JSON, with every single time")
	f.BoolVar(&o.check, "check", true, "compare the content of what is written with the source's")
	f.BoolVar(&o.list, "list", false, "list the rows, and measure nothing")
	f.StringVar(&o.cache, "qemu-cache", "unsafe", "qemu-img's -t; its default, unsafe, leaves the file in the page cache, while ingest makes it durable; writeback does so too")
	f.StringVar(&o.glance.url, "glance", "", "URL of a Glance that converts to raw, for its row (default: one is started, if glance-api is installed)")
	f.StringVar(&o.glance.token, "glance-token", "", "token for it")
}

func main() {
	var o options
	o.declare(flag.CommandLine)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "convertbench: "+err.Error())
		os.Exit(1)
	}
}

// errOver says that a row is beyond its limit.
var errOver = errors.New("not every row is within its limit")

// run measures the rows that are asked for, and prints them.
func run(ctx context.Context, o options, w io.Writer) (err error) {
	rows := selected(allRows(), o.only)
	switch {
	case o.list:
		for _, r := range rows {
			fmt.Fprintln(w, r.name())
		}
		return nil
	case len(rows) == 0:
		return errors.New("no row is of that name; -list lists them")
	case o.pairs < 1:
		return errors.New("-pairs must be 1 or more")
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	rep := report{Pairs: o.pairs, Size: int64(o.size), Cache: o.cache}
	if err := b.describe(ctx, &rep); err != nil {
		return err
	}
	for i, r := range rows {
		b.say("%d of %d: %s", i+1, len(rows), r.name())
		res, err := b.measure(ctx, r)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name(), err)
		}
		b.say("   %s", res.line())
		rep.Rows = append(rep.Rows, res)
		if err := b.drop(rows[i+1:]); err != nil {
			return err
		}
	}
	holdSame(rep.Rows)
	return errors.Join(rep.print(w, o.json), rep.verdict())
}

// selected returns the rows that the pattern matches, all without one.
func selected(rows []row, only *regexp.Regexp) []row {
	var out []row
	for _, r := range rows {
		if only == nil || only.MatchString(r.name()) {
			out = append(out, r)
		}
	}
	return out
}

// print writes the tables, or JSON.
func (rep report) print(w io.Writer, asJSON bool) error {
	if !asJSON {
		return rep.markdown(w)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(rep)
}

// A bench is one run of the tool.
type bench struct {
	o    options
	dir  string
	work string
	temp []string        // folders that go at the end
	made map[string]bool // sources that this run made
	rate rates           // what the disk takes
	err  io.Writer       // of progress
}

func newBench(o options) (*bench, error) {
	b := &bench{o: o, made: map[string]bool{}, err: os.Stderr}
	var err error
	if b.o.ingest, err = filepath.Abs(o.ingest); err != nil {
		return nil, err
	}
	if b.dir, err = b.folder(o.dir, os.TempDir()); err == nil {
		b.work, err = b.folder(o.work, b.dir)
	}
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// folder returns the folder that was named, or a temporary one in parent.
func (b *bench) folder(name, parent string) (string, error) {
	if name != "" {
		if err := os.MkdirAll(name, 0o700); err != nil {
			return "", err
		}
		return filepath.EvalSymlinks(name)
	}
	dir, err := os.MkdirTemp(parent, "convertbench-")
	if err != nil {
		return "", err
	}
	b.temp = append(b.temp, dir)
	return filepath.EvalSymlinks(dir)
}

// close removes what the run has made and nobody asked to keep.
func (b *bench) close() error {
	var err error
	if !b.o.keep {
		for file := range b.made {
			err = errors.Join(err, os.RemoveAll(filepath.Join(b.dir, file)))
		}
	}
	for _, dir := range b.temp {
		if dir != b.dir || !b.o.keep {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	return err
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.err, format+"\n", args...) }
