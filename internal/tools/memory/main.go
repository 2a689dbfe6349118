// Command memory measures how much resident memory `ingest serve` takes while
// it imports a large disk: once from a file into qcow2, once over HTTP into raw.
// It ends with 1 if an import takes more than a fixed amount above the idle
// server, whatever the disk's size.
// With -inspect, it measures `ingest inspect` of a sparse disk of 1 TiB in every format
// instead, and ends with 1 if that takes more than 64 MiB above `ingest version`, or a
// second of processor time.
//
// It needs four times the allocated size as disk space, below -dir, and removes
// all of it at the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"ingest/internal/tools/ingestserver"
	"ingest/internal/tools/sizeflag"
)

// limit is what an import may take above the idle server, bytes.
const limit = 200 << 20

const (
	mib = 1 << 20
	gib = 1 << 30
)

func main() {
	virtual, allocated := sizeflag.Size(20*gib), sizeflag.Size(4*gib)
	bin := flag.String("ingest", "bin/ingest", "the ingest binary")
	dir := flag.String("dir", os.TempDir(), "folder with room for four times the allocated size")
	flag.Var(&virtual, "virtual", "virtual size of the disk")
	flag.Var(&allocated, "allocated", "how much of it holds data")
	inspect := flag.Bool("inspect", false, "measure 'ingest inspect' of 1 TiB in every format instead; needs 1 GiB of disk space")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	measure := func() error { return run(ctx, *bin, *dir, int64(virtual), int64(allocated)) }
	if *inspect {
		measure = func() error { return inspectAll(ctx, *bin, *dir) }
	}
	if err := measure(); err != nil {
		fmt.Fprintln(os.Stderr, "memory: "+err.Error())
		stop()
		os.Exit(1)
	}
}

// run makes the images, imports both and prints the table.
func run(ctx context.Context, bin, dir string, virtual, allocated int64) (err error) {
	if allocated > virtual {
		return errors.New("-allocated is more than -virtual")
	}
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	if dir, err = os.MkdirTemp(dir, "ingest-memory-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	raw, qcow2, err := makeImages(ctx, dir, virtual, allocated)
	if err != nil {
		return err
	}
	files, err := serveFolder(filepath.Dir(qcow2))
	if err != nil {
		return err
	}
	s, err := ingestserver.Start(ctx, bin, dir, "--file-roots", filepath.Join(dir, "images"))
	if err != nil {
		return err
	}
	defer s.Stop()
	idle, err := idle(ctx, s)
	if err != nil {
		return err
	}
	var rows []measured
	for _, job := range []struct{ what, url, to string }{
		{"raw file to qcow2", raw, "qcow2"},
		{"qcow2 over HTTP to raw", files + "/" + filepath.Base(qcow2), "raw"},
	} {
		row, err := measure(ctx, s, job.what, job.url, job.to)
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", job.what, err, s.Tail())
		}
		row.idle = idle
		rows = append(rows, row)
	}
	return report(os.Stdout, virtual, allocated, rows)
}
