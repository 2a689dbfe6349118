// Command demo shows the whole of ingest to a stranger: it makes one real disk
// in eight formats, imports all of them through a server of its own, proves
// that every image has the same content, and lets one hostile image be refused.
// Every command that it runs is printed as one could type it.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	bin := flag.String("ingest", "bin/ingest", "the ingest binary")
	keep := flag.Bool("keep", false, "keep the demo's folder")
	size := flag.Int64("size", 1<<30+3*512, "virtual size of the disk, bytes")
	flag.Parse()
	if err := run(*bin, *size, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo: "+err.Error())
		os.Exit(1)
	}
}

// run is the demo from its first to its last line.
func run(bin string, size int64, keep bool) (err error) {
	bin, err = filepath.Abs(bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "ingest-demo-")
	if err != nil {
		return err
	}
	defer func() {
		if keep || err != nil {
			fmt.Println("\nThe demo's folder is kept: " + dir)
			return
		}
		os.RemoveAll(dir)
	}()
	d := &demo{bin: bin, dir: dir}
	defer d.stop()
	for _, step := range []func() error{
		func() error { return d.makeImages(size) },
		d.start,
		d.importAll,
		d.show,
		d.prove,
		d.refuse,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	fmt.Printf("\n%s eight images of one disk are active with the same content, and the hostile one was refused.\n", good("Done:"))
	return nil
}
