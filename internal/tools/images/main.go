// Command images makes the images of testdata/images again: good ones by
// qemu-img from one small disk, bad ones by changing a few bytes of good ones,
// each named by its illness. It writes manifest.json, which says of each file
// who made it, what it is, and for a bad one the code with which it must be
// refused. The expected facts come from qemu-img and from the raw disk, not
// from the code under test.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	dir := flag.String("dir", "testdata/images", "where the images go")
	flag.Parse()
	if err := run(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "images: "+err.Error())
		os.Exit(1)
	}
}

func run(dir string) error {
	tmp, err := os.MkdirTemp("", "ingest-images-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	m := &maker{dir: dir, tmp: tmp}
	for _, step := range []func() error{m.disk, m.good, m.bad, m.manifest} {
		if err := step(); err != nil {
			return err
		}
	}
	fmt.Printf("%d images in %s\n", len(m.list), dir)
	return nil
}
