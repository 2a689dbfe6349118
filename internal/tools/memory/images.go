package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
)

// makeImages writes a sparse raw disk, and lets qemu-img make a qcow2 of it.
func makeImages(ctx context.Context, dir string, virtual, allocated int64) (raw, qcow2 string, err error) {
	images := filepath.Join(dir, "images")
	if err := os.Mkdir(images, 0o700); err != nil {
		return "", "", err
	}
	raw, qcow2 = filepath.Join(images, "disk.raw"), filepath.Join(images, "disk.qcow2")
	fmt.Fprintf(os.Stderr, "making a disk of %d MiB, %d MiB of it data\n", virtual/mib, allocated/mib)
	if err := writeDisk(ctx, raw, virtual, allocated); err != nil {
		return "", "", err
	}
	cmd := exec.CommandContext(ctx, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("qemu-img convert: %w\n%s", err, out)
	}
	return raw, qcow2, nil
}

// stretch is how long a run of data is, bytes. Data and holes take turns, and
// within the data noise and text do, MiB by MiB.
const stretch = 16 * mib

// writeDisk spreads the data evenly over the disk.
func writeDisk(ctx context.Context, path string, virtual, allocated int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(virtual); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, mib)
	stretches := (allocated + stretch - 1) / stretch
	for done := int64(0); done < allocated; done += mib {
		if err := ctx.Err(); err != nil {
			return err
		}
		// The first byte of stretch i, on a border of a MiB.
		at := done / stretch * (virtual / stretches) / mib * mib
		fill(buf, random, done/mib%2 == 0)
		n := min(mib, allocated-done)
		if _, err := f.WriteAt(buf[:n], min(at+done%stretch, virtual-n)); err != nil {
			return err
		}
	}
	return f.Close()
}

// fill fills p with what does not compress, or with what does.
func fill(p []byte, random *rand.Rand, noise bool) {
	for i := 0; i < len(p); i += 8 {
		word := uint64(0x20656e696c206120) // " a line "
		if noise || i%64 == 0 {
			word = random.Uint64()
		}
		binary.LittleEndian.PutUint64(p[i:], word)
	}
}

// serveFolder serves a folder's files over loopback HTTP.
func serveFolder(dir string) (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go http.Serve(ln, http.FileServer(http.Dir(dir))) // ends with the program
	return "http://" + ln.Addr().String(), nil
}
