package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ingest/internal/fsutil"
)

// rates are what the disk takes of a program that does nothing but write, bytes a second.
type rates struct {
	Cached  float64 `json:"cached"`  // into the page cache
	Durable float64 `json:"durable"` // with an fdatasync at the end
	Direct  float64 `json:"direct"`  // past the page cache, by two at once, with an fdatasync; 0 if the file system cannot
}

// best is the faster way to a durable file.
func (r rates) best() float64 { return max(r.Durable, r.Direct) }

// describe makes the disk, and says what the table is about.
func (b *bench) describe(ctx context.Context, rep *report) error {
	path, err := b.path(ctx, source{mainDisk, raw})
	if err != nil {
		return err
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	rep.Size, rep.Data, rep.From = st.Size(), fsutil.Allocated(st), b.o.from
	rep.Machine, rep.Tools = machine(), tools(ctx, b.o.ingest)
	if err := b.writing(ctx, path, rep.Data); err != nil {
		return err
	}
	rep.Rates = b.rate
	b.say("writing alone takes %s", b.rate)
	return nil
}

func (r rates) String() string {
	return fmt.Sprintf("%.0f MB/s into the page cache, %.0f MB/s until it is durable, %.0f MB/s past the page cache", r.Cached/1e6, r.Durable/1e6, r.Direct/1e6)
}

// writing measures how fast the disk's data can be written, by writing nothing else.
func (b *bench) writing(ctx context.Context, path string, data int64) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	// A whole page, as writing past the page cache wants it: what is mapped is aligned.
	buf, err := unix.Mmap(-1, 0, 4*mib, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	defer unix.Munmap(buf)
	if _, err := in.ReadAt(buf, 0); err != nil {
		return err
	}
	var cached, durable, direct []float64
	out := filepath.Join(b.work, "writing")
	for range b.o.pairs {
		if err := b.settle(); err != nil {
			return err
		}
		c, d, err := writeOnce(ctx, out, 0, 1, buf, data)
		if err != nil {
			return err
		}
		cached, durable = append(cached, float64(data)/c.Seconds()), append(durable, float64(data)/d.Seconds())
		_, d, err = writeOnce(ctx, out, unix.O_DIRECT, 2, buf, data)
		switch {
		case errors.Is(err, unix.EINVAL):
		case err != nil:
			return err
		default:
			direct = append(direct, float64(data)/d.Seconds())
		}
	}
	b.rate = rates{Cached: median(cached), Durable: median(durable), Direct: median(direct)}
	return nil
}

// writeOnce has writers write a file of about n bytes; it tells how long until all were
// written, and how long until they were on the disk.
func writeOnce(ctx context.Context, path string, flag, writers int, buf []byte, n int64) (written, durable time.Duration, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC|flag, 0o600)
	if err != nil {
		return 0, 0, errors.Join(err, os.RemoveAll(path))
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	began := time.Now()
	step := int64(len(buf))
	errs := make(chan error, writers)
	for w := range int64(writers) {
		go func() {
			for off := w * step; off < n; off += int64(writers) * step {
				if _, err := f.WriteAt(buf, off); err != nil || ctx.Err() != nil {
					errs <- errors.Join(err, ctx.Err())
					return
				}
			}
			errs <- nil
		}()
	}
	for range writers {
		err = errors.Join(err, <-errs)
	}
	written = time.Since(began)
	return written, written + since(func() { err = errors.Join(err, fsutil.Datasync(f)) }), err
}

func since(fn func()) time.Duration {
	began := time.Now()
	fn()
	return time.Since(began)
}

// machine names the processors.
func machine() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	n, model := 0, "unknown"
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "processor":
			n++
		case "model name":
			model = strings.TrimSpace(value)
		}
	}
	return countOf(n, "core") + ", " + model
}

// tools names the programs that are compared.
func tools(ctx context.Context, ingest string) []string {
	var out []string
	for _, c := range []command{{ingest, "version"}, {"qemu-img", "--version"}} {
		text, err := c.output(ctx)
		if err == nil {
			text, _, _ = strings.Cut(text, "\n")
			out = append(out, strings.TrimSpace(text))
		}
	}
	return out
}
