package pipeline_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"ingest/stores"
	"ingest/stores/fs"
)

// throughHere is a store whose uploads take no objects over: every byte of a copy
// passes through this process.
type throughHere struct{ stores.Store }

type plainUpload struct{ stores.Upload }

func (s throughHere) Begin(ctx context.Context, key string, size int64) (stores.Upload, error) {
	up, err := s.Store.Begin(ctx, key, size)
	return plainUpload{up}, err
}

// BenchmarkCopyBetweenFolders copies an object of 1 GiB between two folders below
// INGEST_BENCH_DIR (or the folder for temporary files), with what the file system can
// do and without: processor time, and bytes written to the disk.
func BenchmarkCopyBetweenFolders(b *testing.B) {
	const size = 1 << 30
	for _, way := range []string{"file-system", "through-the-process"} {
		b.Run(way, func(b *testing.B) {
			dir, err := os.MkdirTemp(os.Getenv("INGEST_BENCH_DIR"), "copybench")
			if err != nil {
				b.Fatal(err)
			}
			defer os.RemoveAll(dir)
			p, _ := newPipeline(b, dir)
			var second *fs.Store
			for _, name := range []string{"main", "second"} {
				if second, err = fs.Open(dir+"/"+name, name); err != nil {
					b.Fatal(err)
				}
				p.Stores[name] = second
			}
			if way != "file-system" {
				p.Stores["second"] = throughHere{second}
			}
			data := make([]byte, size)
			_, _ = rand.Read(data)
			src := keepObject(b, p.Stores["main"], data)
			c := copyOf(data, "second", src)
			data = nil
			unix.Sync()
			b.SetBytes(size)
			cpu, wrote := used(b)
			for b.Loop() {
				if _, err := p.Copy(b.Context(), c, nil); err != nil {
					b.Fatal(err)
				}
				if err := second.Delete(b.Context(), c.Key); err != nil {
					b.Fatal(err)
				}
			}
			cpu2, wrote2 := used(b)
			b.ReportMetric(float64(cpu2-cpu)/float64(b.N)/1e6, "cpu-ms/op")
			b.ReportMetric(float64(wrote2-wrote)/float64(b.N)/(1<<20), "written-MiB/op")
		})
	}
}

// used is the processor time of this process, nanoseconds, and what it has had
// written to disks.
func used(b *testing.B) (cpu, wrote int64) {
	b.Helper()
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		b.Fatal(err)
	}
	var n [7]int64
	_, err = fmt.Sscanf(string(text), "rchar: %d\nwchar: %d\nsyscr: %d\nsyscw: %d\nread_bytes: %d\nwrite_bytes: %d\ncancelled_write_bytes: %d",
		&n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6])
	if err != nil {
		b.Fatal(err)
	}
	return r.Utime.Nano() + r.Stime.Nano(), n[5]
}
