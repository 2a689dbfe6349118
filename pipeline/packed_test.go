package pipeline_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/internal/contract"
	"ingest/internal/fsutil"
	"ingest/internal/imgtest"
	"ingest/pipeline"
)

// disk returns the job of the n-th disk, from 1, of a job that was detected.
func (j *job) disk(n int) *job {
	d := *j
	d.image = contract.DiskImageID(j.task, j.image, n)
	d.key = contract.ObjectKey(d.image, contract.DerivedUploadID(j.task, 1, contract.DiskPin("", n)+string(rune('a'+n))))
	return &d
}

// keep runs the steps behind detect for one disk.
func (j *job) keep(ctx context.Context, p *pipeline.Pipeline, n int) error {
	v, _, err := p.Validate(ctx, contract.ValidateParams{TaskID: j.task, Fetched: j.fetched, Detected: j.detected, Target: j.target, Disk: n})
	if err != nil {
		return err
	}
	j.target, j.verify = v.Target, v.Verify
	c := j.convertParams()
	c.Disk = n
	if j.converted, err = p.Convert(ctx, c, nil); err != nil {
		return err
	}
	if j.checksummed, err = p.Checksum(ctx, j.checksumParams(), nil, nil); err != nil {
		return err
	}
	j.stored, err = p.Commit(ctx, contract.StoreParams{TaskID: j.task, Key: j.key, Converted: j.converted, Checksummed: j.checksummed})
	return err
}

// begin runs fetch and detect.
func (j *job) begin(t *testing.T, p *pipeline.Pipeline) error {
	t.Helper()
	var err error
	if j.fetched, err = p.Fetch(t.Context(), contract.FetchParams{TaskID: j.task, ImageID: j.image, Source: j.source}, nil); err != nil {
		return err
	}
	j.detected, _, err = p.Detect(t.Context(), contract.DetectParams{TaskID: j.task, Fetched: j.fetched, Format: j.source.Format})
	return err
}

// stagedBytes is what the staging folder takes of the disk.
func stagedBytes(t *testing.T, p *pipeline.Pipeline) int64 {
	t.Helper()
	var n int64
	err := filepath.WalkDir(p.StagingDir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += fsutil.Allocated(info)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Every kind of packed source is imported from a file, from a server with ranges
// and from one without, with and without a digest of its bytes.
func TestPackedSourcesAreImported(t *testing.T) {
	dir := t.TempDir()
	for _, c := range packedSources(t, dir) {
		for _, from := range []struct {
			name             string
			remote, ranges   bool
			checksum, staged bool
		}{
			{"file", false, false, false, false},
			{"file with a digest", false, false, true, false},
			{"ranges", true, true, false, false},
			{"no ranges", true, false, true, true},
		} {
			t.Run(c.name+"/"+from.name, func(t *testing.T) {
				p, _ := newPipeline(t, dir, loopback())
				j := newJob(c.path, contract.TargetSpec{Format: "raw"})
				if from.remote {
					j.source.URL = serveFile(t, c.path, from.ranges, new(atomic.Int64))
				}
				if from.checksum {
					j.source.Checksum = sha256Of(t, c.path)
				}
				if err := j.begin(t, p); err != nil {
					t.Fatal(err)
				}
				c.wantFetched(t, j, from.staged)
				if from.checksum && j.fetched.SourceDigest != j.source.Checksum {
					t.Errorf("digest %q, want that of the packed bytes", j.fetched.SourceDigest)
				}
				for i, want := range c.disks {
					d := j.disk(i + 1)
					if err := d.keep(t.Context(), p, i+1); err != nil {
						t.Fatal(err)
					}
					got := imgtest.OpenFile(t, objectFile(t, p, d, ".raw"))
					if got.Size() != want.Size() {
						t.Fatalf("disk %d has %d bytes, want %d", i+1, got.Size(), want.Size())
					}
					imgtest.Equal(t, got, want, want.Size())
				}
				if err := p.Cleanup(t.Context(), contract.CleanupParams{TaskID: j.task, Success: true}); err != nil {
					t.Fatal(err)
				}
				empty(t, p.StagingDir)
			})
		}
	}
}

// wantFetched checks what fetch and detect say.
func (c packed) wantFetched(t *testing.T, j *job, always bool) {
	t.Helper()
	size := fileSize(t, c.path)
	f, d := j.fetched, j.detected
	if staged := c.layer != "" || always; f.Layer != c.layer || f.Staged != staged || f.SourceBytes() != size {
		t.Errorf("fetched %+v, want layer %q, staged %v, %d bytes of source", f, c.layer, staged, size)
	}
	if c.layer == "" && f.Size != size {
		t.Errorf("size %d, want %d", f.Size, size)
	}
	if d.Format != c.format || d.Container != c.container || d.Count() != len(c.disks) || d.VirtualSize != c.disks[0].Size() {
		t.Errorf("detected %+v, want %d of %s in %q", d, len(c.disks), c.format, c.container)
	}
	for i, want := range c.props {
		if diff := cmp.Diff(want, d.Disks[i].Properties); diff != "" {
			t.Errorf("properties of disk %d (-want +got):\n%s", i+1, diff)
		}
		if d.Disks[i].Boot != (i == 0) || d.Disks[i].VirtualSize != c.disks[i].Size() {
			t.Errorf("disk %d is %+v", i+1, d.Disks[i])
		}
	}
}

// What is not staged costs no staging, and what is costs its data once: zeros are
// holes.
func TestPackedSourcesAreStagedOnce(t *testing.T) {
	dir := t.TempDir()
	for _, c := range packedSources(t, dir) {
		p, _ := newPipeline(t, dir)
		j := newJob(c.path, contract.TargetSpec{Format: "raw"})
		if err := j.begin(t, p); err != nil {
			t.Fatal(err)
		}
		var most int64
		if c.layer != "" {
			most = 8 << 20 // the data of the largest, and the tables of its file
		}
		if n := stagedBytes(t, p); n > most {
			t.Errorf("%s: staging takes %d bytes, want at most %d", c.name, n, most)
		}
	}
}

// A crash in the middle of unwrapping leaves nothing that could be taken for the
// whole; another attempt begins again, a finished one is found.
func TestUnwrappingBeginsAgainAfterACrash(t *testing.T) {
	dir := t.TempDir()
	raw := moved(t, dir, "d.raw", imgtest.WriteRaw(t, mixed()))
	path := squeeze(t, dir, raw, "gzip", "-c")
	for _, ranges := range []bool{true, false} {
		p, _ := newPipeline(t, dir, loopback())
		var sent atomic.Int64
		j := newJob(serveFile(t, path, ranges, &sent), contract.TargetSpec{Format: "raw"})
		params := contract.FetchParams{TaskID: j.task, ImageID: j.image, Source: j.source}
		for range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := p.Fetch(ctx, params, func(done, _ int64, _ []byte) {
				if done > 1<<20 {
					cancel()
				}
			})
			if cancel(); !errors.Is(err, context.Canceled) {
				t.Fatalf("not cut off: %v", err)
			}
			if _, _, err := p.Detect(t.Context(), contract.DetectParams{TaskID: j.task, Fetched: contract.Fetched{Staged: true, Layer: "gzip", Size: mixed().Size()}}); err == nil {
				t.Error("what is not whole was read")
			}
		}
		if err := j.begin(t, p); err != nil {
			t.Fatal(err)
		}
		first := j.fetched
		before := sent.Load()
		if err := j.begin(t, p); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, j.fetched); diff != "" || ranges && sent.Load()-before > 1<<20 {
			t.Errorf("%d bytes were sent for what is staged (-first +second):\n%s", sent.Load()-before, diff)
		}
		if err := j.disk(1).keep(t.Context(), p, 0); err != nil {
			t.Error(err)
		}
	}
}

// A crash between two disks loses neither: each has an upload of its own.
func TestCrashBetweenDisks(t *testing.T) {
	dir := t.TempDir()
	all := packedSources(t, dir)
	c := all[len(all)-1]
	p, store := newPipeline(t, dir)
	j := newJob(c.path, contract.TargetSpec{Format: "qcow2"})
	if err := j.begin(t, p); err != nil {
		t.Fatal(err)
	}
	first := j.disk(1)
	if err := first.keep(t.Context(), p, 1); err != nil {
		t.Fatal(err)
	}
	second := j.disk(2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := second.keep(ctx, p, 2); err == nil {
		t.Fatal("not cut off")
	}
	// Another worker goes on, from the first disk: what was stored is found.
	again := &pipeline.Pipeline{Readers: p.Readers, Sources: p.Sources, Stores: p.Stores, DefaultStore: p.DefaultStore,
		StagingDir: p.StagingDir, OutputFormat: "qcow2", HashAlgo: "sha256", Verify: "full", Limits: p.Limits}
	for n := 1; n <= 3; n++ {
		d := j.disk(n)
		if err := d.keep(t.Context(), again, n); err != nil {
			t.Fatal(err)
		}
		if n == 1 && d.checksummed != first.checksummed {
			t.Errorf("the first disk became %+v, and was %+v", d.checksummed, first.checksummed)
		}
		if err := again.Cleanup(t.Context(), contract.CleanupParams{TaskID: j.task, ImageID: d.image, Store: "main", Key: d.key}); err != nil {
			t.Fatal(err)
		}
	}
	for o := range store.Objects(t.Context()) {
		t.Errorf("object left: %v", o)
	}
	empty(t, p.StagingDir)
}
