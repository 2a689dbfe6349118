package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ingest/internal/contract"
	"ingest/internal/tools/ingestserver"
)

// A served is a folder behind loopback HTTP, and an ingest server that reads it.
type served struct {
	files  string // URL of the folder
	dir    string // of the server
	ingest *ingestserver.Server
	stop   func()
}

// serving starts both.
func (b *bench) serving(ctx context.Context) (served, error) {
	dir, err := os.MkdirTemp(b.work, "serve-")
	if err != nil {
		return served{}, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return served{}, err
	}
	s := served{files: "http://" + ln.Addr().String() + "/", dir: dir}
	web := &http.Server{Handler: http.FileServer(http.Dir(b.dir)), ReadHeaderTimeout: time.Minute}
	go web.Serve(ln) // ends with Close
	s.stop = func() {
		_ = web.Close()
		if s.ingest != nil {
			s.ingest.Stop()
		}
		_ = os.RemoveAll(dir)
	}
	s.ingest, err = ingestserver.Start(ctx, b.o.ingest, dir, "--verify-minimum", contract.VerifyStored, "--source-ports", portOf(ln))
	if err != nil {
		s.stop()
		return served{}, err
	}
	return s, nil
}

func portOf(ln net.Listener) string {
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// side is an import of the source into raw in the server's file store.
func (s served) side(src source, path, verify string) side {
	var image string
	return side{
		is: fmt.Sprintf("import of %s into raw, verify %q", src.file(), verify),
		run: func(ctx context.Context) (usage, error) {
			before, err := s.ingest.CPU()
			if err != nil {
				return usage{}, err
			}
			began := time.Now()
			task, err := s.ingest.Import(ctx, contract.ImportRequest{
				Source: contract.SourceSpec{URL: s.files + filepath.Base(path)}, Target: contract.TargetSpec{Format: "raw"},
				Image: contract.ImageSpec{Name: "bench"}, Verify: verify,
			})
			u := usage{Wall: time.Since(began)}
			if err != nil {
				return u, fmt.Errorf("import: %w\n%s", err, s.ingest.Tail())
			}
			image = task.ImageID
			after, err := s.ingest.CPU()
			u.CPU = after - before
			return u, err
		},
		after: func(ctx context.Context, check bool) error {
			if check {
				if err := s.compare(ctx, src, path, image); err != nil {
					return err
				}
			}
			return s.ingest.API.DeleteImage(ctx, image)
		},
	}
}

// compare compares the image's file in the store with the source. It is not downloaded: a
// download has no holes.
func (s served) compare(ctx context.Context, src source, path, image string) error {
	found, err := filepath.Glob(filepath.Join(s.dir, "data", "store", "objects", image, "*"))
	if err != nil {
		return err
	}
	// Beside the bytes lies a record, with an ending.
	found = slices.DeleteFunc(found, func(name string) bool { return filepath.Ext(name) != "" })
	if len(found) != 1 {
		return fmt.Errorf("%d files of image %s in the store", len(found), image)
	}
	return compare(ctx, src.format, path, raw, found[0])
}

// importRow is a whole import beside what people do by hand.
func importRow(verify string, most float64) row {
	src := source{mainDisk, qcow2zlib}
	what := "qcow2/zlib → raw"
	if verify != "" {
		what += ", verify: " + verify
	}
	return row{group: groupImport, what: what, sources: []source{src}, limit: limit{Value: most},
		prepare: func(ctx context.Context, b *bench, paths []string) (pair, error) {
			s, err := b.serving(ctx)
			if err != nil {
				return pair{}, err
			}
			staged, out := b.output("staged.qcow2"), b.output("theirs.raw")
			hand := chain{
				{"curl", "--silent", "--show-error", "--fail", "-o", staged, s.files + filepath.Base(paths[0])},
				qemuConvert(qcow2zlib, raw, staged, out, b.o.cache),
				{"openssl", "dgst", "-sha256", out},
			}
			return pair{
				close:  s.stop,
				first:  s.side(src, paths[0], verify),
				second: b.fileSide(hand, qcow2zlib, paths[0], raw, out, staged),
			}, nil
		}}
}

// importMemoryRow is what an import takes above the idle server.
func importMemoryRow(d disk) row {
	src := source{d, qcow2zlib}
	return row{group: groupMemory, what: fmt.Sprintf("%s, import of %s", d, arrow(qcow2zlib, raw)),
		sources: []source{src}, limit: limit{Value: memoryLimit},
		prepare: func(ctx context.Context, b *bench, paths []string) (pair, error) {
			s, err := b.serving(ctx)
			if err != nil {
				return pair{}, err
			}
			// The Go runtime gives pages back within seconds.
			if err := s.ingest.Pause(ctx, 10*time.Second); err != nil {
				s.stop()
				return pair{}, err
			}
			idle, _, err := s.ingest.Memory()
			if err != nil {
				s.stop()
				return pair{}, err
			}
			first := s.side(src, paths[0], "")
			imported := first.run
			first.run = func(ctx context.Context) (usage, error) {
				if err := s.ingest.ResetMark(); err != nil {
					return usage{}, err
				}
				u, err := imported(ctx)
				if err != nil {
					return u, err
				}
				_, u.Peak, err = s.ingest.Memory()
				return u, err
			}
			return pair{
				close: s.stop, first: first, unit: "MiB",
				figure: func(u usage) float64 { return float64(u.Peak-idle) / mib },
			}, nil
		}}
}
