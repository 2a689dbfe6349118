package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"ingest/internal/fsutil"
)

// A format is one that is converted from or to, with the words of both programs for it.
type format struct {
	name   string
	ext    string   // of files of it
	qemu   string   // qemu-img's name
	create []string // what qemu-img convert is told besides
	ingest []string // what ingest convert is told
}

var (
	raw         = format{"raw", "disk.raw", "raw", nil, []string{"--to", "raw"}}
	qcow2       = format{"qcow2", "plain.qcow2", "qcow2", nil, []string{"--to", "qcow2", "--compression", "none"}}
	qcow2zlib   = format{"qcow2/zlib", "zlib.qcow2", "qcow2", []string{"-c"}, []string{"--to", "qcow2", "--compression", "zlib"}}
	qcow2zstd   = format{"qcow2/zstd", "zstd.qcow2", "qcow2", []string{"-c", "-o", "compression_type=zstd"}, []string{"--to", "qcow2", "--compression", "zstd"}}
	vmdkSparse  = format{"VMDK sparse", "sparse.vmdk", "vmdk", []string{"-o", "subformat=monolithicSparse"}, nil}
	vmdkStream  = format{"VMDK streamOptimized", "stream.vmdk", "vmdk", []string{"-o", "subformat=streamOptimized"}, []string{"--to", "vmdk", "--option", "subformat=streamOptimized"}}
	vhdDynamic  = format{"VHD dynamic", "dyn.vhd", "vpc", []string{"-o", "subformat=dynamic,force_size=on"}, nil}
	vhdFixed    = format{"VHD fixed", "fixed.vhd", "vpc", []string{"-o", "subformat=fixed,force_size=on"}, nil}
	vhdx        = format{"VHDX", "dyn.vhdx", "vhdx", nil, nil}
	vdi         = format{"VDI", "dyn.vdi", "vdi", nil, nil}
	allReadable = []format{raw, qcow2, qcow2zlib, qcow2zstd, vmdkSparse, vmdkStream, vhdDynamic, vhdFixed, vhdx, vdi}
)

// A disk is one that is measured on; the formats of it are made of its raw file.
type disk struct {
	prefix  string // of its files' names
	virtual int64  // 0: that of --size
	data    int64  // bytes; at most
	// spread says that the data is that of the main disk's begin, in pieces all over
	// this one. Otherwise it is an ext4 with files.
	spread bool
}

var (
	mainDisk   = disk{}
	smallDisk  = disk{prefix: "small-", virtual: 2 * gib, data: 700 * mib}
	narrowDisk = disk{prefix: "narrow-", virtual: 2 * gib, data: gib, spread: true}
	vastDisk   = disk{prefix: "vast-", virtual: 1024 * gib, data: gib, spread: true}
	fullDisk   = disk{prefix: "full-", virtual: gib, data: gib, spread: true}
	wideDisk   = disk{prefix: "wide-", virtual: 64 * gib, data: gib, spread: true}
)

// String is its virtual size.
func (d disk) String() string { return fmt.Sprintf("%d GiB", d.virtual/gib) }

// A source is a disk in a format.
type source struct {
	disk   disk
	format format
}

func (s source) file() string { return s.disk.prefix + s.format.ext }

// path makes the source unless it is there, and returns where it is.
func (b *bench) path(ctx context.Context, s source) (string, error) {
	path := filepath.Join(b.dir, s.file())
	if _, err := os.Stat(path); err == nil || !os.IsNotExist(err) {
		return path, err
	}
	made := func(from string, err error) error {
		if err != nil {
			return err
		}
		b.say("   making %s", s.file())
		b.made[s.file()] = true
		half := path + ".half"
		b.made[s.file()+".half"] = true
		switch {
		case s.format.name != raw.name:
			_, err = qemuConvert(raw, s.format, from, half, "unsafe").run(ctx)
		case s.disk.spread:
			err = spread(ctx, from, half, s.disk.virtual, b.scaled(s.disk.data))
		default:
			err = b.fileSystem(ctx, s.disk, half)
		}
		if err != nil {
			return err
		}
		return os.Rename(half, path)
	}
	switch {
	case s.format.name != raw.name:
		return path, made(b.path(ctx, source{s.disk, raw}))
	case s.disk.spread:
		return path, made(b.path(ctx, source{mainDisk, raw}))
	}
	return path, made("", nil)
}

// scaled makes the data of a spread disk less where the main disk is a small one.
func (b *bench) scaled(data int64) int64 { return min(data, int64(b.o.size)/4/stretch*stretch) }

// drop removes the sources that this run made and that none of the rows needs.
func (b *bench) drop(left []row) error {
	need := map[string]bool{}
	for _, r := range left {
		for _, s := range r.sources {
			need[s.file()] = true
			need[source{s.disk, raw}.file()] = true
			if s.disk.spread {
				need[source{mainDisk, raw}.file()] = true
			}
		}
	}
	for file := range b.made {
		if need[file] || b.o.keep {
			continue
		}
		if err := os.RemoveAll(filepath.Join(b.dir, file)); err != nil {
			return err
		}
		delete(b.made, file)
	}
	return nil
}

// warm reads the files once, so that they lie in the page cache.
func warm(paths []string) error {
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		err = eachData(f, func(off, n int64) error {
			_, err := io.Copy(io.Discard, io.NewSectionReader(f, off, n))
			return err
		})
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// eachData calls fn for every run of data of a file.
func eachData(f *os.File, fn func(off, n int64) error) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	for off := int64(0); off < st.Size(); {
		start, end, err := fsutil.NextData(f, off, st.Size())
		if err != nil || start >= st.Size() {
			return err
		}
		if err := fn(start, end-start); err != nil {
			return err
		}
		off = end
	}
	return nil
}

// stretch is how long a run of data of a spread disk is, bytes.
const stretch = 16 * mib

// spread writes a disk of the first data of another one, evenly over all of it.
func spread(ctx context.Context, from, to string, virtual, data int64) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := out.Truncate(virtual); err != nil {
		return err
	}
	var done int64
	buf := make([]byte, mib)
	step := virtual / (data / stretch) / mib * mib
	err = eachData(in, func(off, n int64) error {
		for ; n > 0 && done < data; n -= mib {
			p := buf[:min(n, mib)]
			if _, err := in.ReadAt(p, off); err != nil {
				return err
			}
			if _, err := out.WriteAt(p, done/stretch*step+done%stretch); err != nil {
				return err
			}
			off, done = off+mib, done+mib
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	return out.Close()
}

// fileSystem makes an ext4 of the disk's size with files of the folder.
func (b *bench) fileSystem(ctx context.Context, d disk, path string) (err error) {
	virtual := d.virtual
	if virtual == 0 {
		virtual = int64(b.o.size)
	}
	data := virtual * 2 / 3
	if d.data > 0 {
		data = min(data, d.data)
	}
	root, err := os.MkdirTemp(b.work, "root-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(root) }()
	files, err := fill(ctx, b.o.from, root, data)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := f.Truncate(virtual); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	_, err = command{"mke2fs", "-q", "-F", "-t", "ext4", "-N", strconv.Itoa(files*5/4 + 1000), "-d", root, path}.run(ctx)
	return err
}

// qemuConvert is the command line of qemu-img that everything is compared with.
func qemuConvert(from, to format, src, dst, cache string) command {
	c := command{"qemu-img", "convert", "-m", "16", "-W", "-f", from.qemu, "-O", to.qemu}
	if cache != "unsafe" {
		c = append(c, "-t", cache)
	}
	return append(append(c, to.create...), src, dst)
}

// ingestConvert is ours.
func (b *bench) ingestConvert(to format, src, dst string, more ...string) command {
	c := append(command{b.o.ingest, "convert", "--quiet"}, to.ingest...)
	return append(append(c, more...), src, dst)
}

// compare proves that two disks have the same content.
func compare(ctx context.Context, from format, src string, to format, dst string) error {
	_, err := command{"qemu-img", "compare", "-f", from.qemu, "-F", to.qemu, src, dst}.run(ctx)
	// 1 says that they differ; more, that they could not be compared.
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return fmt.Errorf("what was written is not the source: %w", err)
	}
	return err
}
