package pipeline_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/internal/imgtest"
	"ingest/pipeline"
	"ingest/stores"
	"ingest/stores/fs"
)

const (
	aheadBytes = 48 << 20
	// aheadGate is where what is held back begins: late, so that requests that are
	// stuck there do not keep others from being made.
	aheadGate = aheadBytes - 8<<20
)

// noiseDisk is a disk of n bytes that do not compress.
func noiseDisk(t *testing.T, n int64) string {
	t.Helper()
	return imgtest.WriteRaw(t, imgtest.New(n, 3, imgtest.Run{Len: n, Kind: imgtest.Noise}))
}

// uploaded is how many bytes lie in uncommitted uploads.
func uploaded(t *testing.T, store stores.Store) (n int64, uploads int) {
	t.Helper()
	for u, err := range store.Uploads(t.Context(), time.Now().Add(time.Hour)) {
		if err != nil {
			t.Fatal(err)
		}
		n, uploads = n+u.Bytes, uploads+1
	}
	return n, uploads
}

// fetching is a fetch that runs.
type fetching struct {
	cancel context.CancelFunc
	ended  chan error
}

// beginFetch begins a job's fetch.
func (j *job) beginFetch(t *testing.T, p *pipeline.Pipeline) *fetching {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	run := &fetching{cancel, make(chan error, 1)}
	go func() {
		var err error
		j.fetched, err = p.Fetch(ctx, j.fetchParams(), nil)
		run.ended <- err
	}()
	return run
}

// until waits until so much lies in uploads, while the fetch goes on.
func (f *fetching) until(t *testing.T, store stores.Store, want int64) {
	t.Helper()
	for range 3000 {
		if n, _ := uploaded(t, store); n >= want {
			return
		}
		select {
		case err := <-f.ended:
			t.Fatalf("the fetch ended before anything was written: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	n, _ := uploaded(t, store)
	t.Fatalf("%d bytes are in uploads, want %d", n, want)
}

// nothingLeft fails the test if a store or the staging holds anything.
func nothingLeft(t *testing.T, p *pipeline.Pipeline, store *fs.Store) {
	t.Helper()
	if n, uploads := uploaded(t, store); uploads > 0 {
		t.Errorf("%d uploads are left, of %d bytes", uploads, n)
	}
	for o, err := range store.Objects(t.Context()) {
		t.Errorf("object left: %v %v", o, err)
	}
	empty(t, p.StagingDir)
}

// streamOptimized makes one of our own, whose tables stand at the end.
func streamOptimized(t *testing.T, rawPath string) string {
	t.Helper()
	p, _ := newPipeline(t, filepath.Dir(rawPath))
	j := newJob(rawPath, contract.TargetSpec{Format: "vmdk"})
	if err := j.run(t, p); err != nil {
		t.Fatal(err)
	}
	return objectFile(t, p, j, ".vmdk")
}

// TestConversionBeginsBeforeTheEndOfTheDownload holds back the end of a source
// until some of the target is in the upload, by the store's count.
func TestConversionBeginsBeforeTheEndOfTheDownload(t *testing.T) {
	rawPath := noiseDisk(t, aheadBytes)
	qcow2 := imgtest.Convert(t, rawPath, "raw", "qcow2")
	for _, c := range []struct {
		name, path string
		ranges     bool
		target     contract.TargetSpec
	}{
		{"raw in ranges", rawPath, true, contract.TargetSpec{Format: "raw"}},
		{"raw as a stream", rawPath, false, contract.TargetSpec{Format: "qcow2", Compression: "zstd"}},
		{"qcow2 in ranges", qcow2, true, contract.TargetSpec{Format: "vmdk"}},
		{"qcow2 as a stream", qcow2, false, contract.TargetSpec{Format: "raw"}},
		{"streamOptimized in ranges", streamOptimized(t, rawPath), true, contract.TargetSpec{Format: "raw"}},
		{"streamOptimized of qemu-img as a stream", imgtest.Convert(t, rawPath, "raw", "vmdk", "subformat=streamOptimized"), false, contract.TargetSpec{Format: "raw"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, url := newGate(t, c.path, c.ranges, aheadGate)
			p, store := newPipeline(t, t.TempDir(), loopback())
			j := newJob(url, c.target)
			j.ahead, j.source.Checksum = true, fileDigest(t, c.path)
			f := j.beginFetch(t, p)
			f.until(t, store, 8<<20)
			if sent := g.sent.Load(); sent >= int64(len(*g.content.Load())) {
				t.Fatalf("all %d bytes had been sent", sent)
			}
			g.release()
			if err := <-f.ended; err != nil {
				t.Fatal(err)
			}
			before, _ := uploaded(t, store)
			if err := j.build(t, p); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d bytes were written before the convert began, %d in the end", before, j.converted.Size)
			out := objectFile(t, p, j, "."+j.target.Format)
			imgtest.QemuImg(t, "compare", "-q", "-f", "raw", "-F", j.target.Format, rawPath, out)
			if err := p.Cleanup(t.Context(), contract.CleanupParams{TaskID: j.task, Store: "main", Key: j.key, Success: true}); err != nil {
				t.Fatal(err)
			}
			if _, uploads := uploaded(t, store); uploads > 0 {
				t.Errorf("%d uploads are left", uploads)
			}
			empty(t, p.StagingDir)
		})
	}
}

// TestConversionAheadIsGoneOnWith has the convert go on in the upload that the fetch
// began, where that stopped: also where it would have chosen another way of writing, as
// for a qcow2 image of a disk whose holes are known.
func TestConversionAheadIsGoneOnWith(t *testing.T) {
	rawPath := noiseDisk(t, aheadBytes)
	for _, c := range []struct {
		format string
		parts  bool // the store is like one in a bucket
	}{{"raw", false}, {"qcow2", false}, {"raw", true}, {"qcow2", true}} {
		format := c.format
		t.Run(format, func(t *testing.T) {
			g, url := newGate(t, rawPath, true, aheadGate)
			p, store := newPipeline(t, t.TempDir(), loopback())
			if c.parts {
				p.Stores["main"] = partsStore{store}
			}
			j := newJob(url, contract.TargetSpec{Format: format})
			j.ahead, j.source.Checksum = true, fileDigest(t, rawPath)
			f := j.beginFetch(t, p)
			f.until(t, store, 28<<20) // up to 8 MiB of it stand behind what a note can be of
			g.release()
			if err := <-f.ended; err != nil {
				t.Fatal(err)
			}
			j.key = contract.DiskKey(j.task, j.image, 1, j.fetched.Pin(), 0)
			id, err := store.Find(t.Context(), j.key)
			if err != nil {
				t.Fatal(err)
			}
			j.detected = contract.Detected{Format: "raw", VirtualSize: aheadBytes}
			if j.target, err = pipeline.CheckTarget(j.target); err != nil {
				t.Fatal(err)
			}
			first := int64(-1)
			j.converted, err = p.Convert(t.Context(), j.convertParams(), func(done, _ int64, _ []byte) {
				if first < 0 {
					first = done
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if j.converted.UploadID != id {
				t.Errorf("converted into upload %s, the fetch began %s", j.converted.UploadID, id)
			}
			// Not told at all if nothing was left to do.
			if first >= 0 && first <= 16<<20 {
				t.Errorf("the convert went on at %d", first)
			}
		})
	}
}

// TestNothingIsLeftOfAConversionAhead ends imports at different points, and lets the
// cleanup know no more than the workflow does.
func TestNothingIsLeftOfAConversionAhead(t *testing.T) {
	rawPath := noiseDisk(t, aheadBytes)
	digest := fileDigest(t, rawPath)
	for _, c := range []struct {
		name   string
		digest string
		end    func(t *testing.T, g *gatedSite, f *fetching) // what happens in the middle
		want   errcode.Code
		gone   bool // the upload is, before the cleanup
	}{
		{"another digest", "sha256:" + strings.Repeat("0", 64), func(*testing.T, *gatedSite, *fetching) {}, errcode.ChecksumMismatch, true},
		{"another version", digest, func(_ *testing.T, g *gatedSite, _ *fetching) { g.change(`"two"`, *g.content.Load()) }, errcode.SourceChanged, false},
		{"a cancel", digest, func(_ *testing.T, _ *gatedSite, f *fetching) { f.cancel() }, "", false},
	} {
		for _, ranges := range []bool{true, false} {
			if !ranges && c.want == errcode.SourceChanged {
				continue // one response is of one version
			}
			t.Run(c.name+map[bool]string{true: " in ranges", false: " as a stream"}[ranges], func(t *testing.T) {
				g, url := newGate(t, rawPath, ranges, aheadGate)
				p, store := newPipeline(t, t.TempDir(), loopback())
				j := newJob(url, contract.TargetSpec{Format: "raw"})
				j.ahead, j.source.Checksum = true, c.digest
				f := j.beginFetch(t, p)
				f.until(t, store, 8<<20)
				c.end(t, g, f)
				if c.want != "" {
					g.release()
				}
				err := <-f.ended
				if c.want == "" && !errors.Is(err, context.Canceled) || c.want != "" && errcode.Of(err) != c.want {
					t.Fatalf("got %v, want %q", err, c.want)
				}
				if _, uploads := uploaded(t, store); c.gone != (uploads == 0) {
					t.Errorf("%d uploads before the cleanup", uploads)
				}
				if err := p.Cleanup(t.Context(), contract.CleanupParams{TaskID: j.task}); err != nil {
					t.Fatal(err)
				}
				nothingLeft(t, p, store)
			})
		}
	}
}

// TestConversionAheadOfWhatProvesToBeAnother stages a fixed VHD as a stream, which is a
// raw disk by its head: nothing of what was written for one is in the result.
func TestConversionAheadOfWhatProvesToBeAnother(t *testing.T) {
	rawPath := noiseDisk(t, aheadBytes)
	vhd := imgtest.Convert(t, rawPath, "raw", "vpc", "subformat=fixed,force_size=on")
	for _, ranges := range []bool{true, false} {
		g, url := newGate(t, vhd, ranges, aheadGate)
		p, store := newPipeline(t, t.TempDir(), loopback())
		j := newJob(url, contract.TargetSpec{Format: "raw"})
		j.ahead, j.source.Checksum = true, fileDigest(t, vhd)
		f := j.beginFetch(t, p)
		f.until(t, store, 8<<20)
		g.release()
		if err := <-f.ended; err != nil {
			t.Fatal(err)
		}
		if err := j.build(t, p); err != nil {
			t.Fatal(err)
		}
		if j.detected.Format != "vhd" || j.converted.Size != aheadBytes {
			t.Errorf("%d bytes of a disk detected as %s", j.converted.Size, j.detected.Format)
		}
		imgtest.QemuImg(t, "compare", "-q", "-f", "raw", "-F", "raw", rawPath, objectFile(t, p, j, ".raw"))
	}
}

// TestConversionAheadIsOfThisFetchOnly lets a server without validators give other
// bytes the second time: none of the first ones is in the result.
func TestConversionAheadIsOfThisFetchOnly(t *testing.T) {
	right := noiseDisk(t, aheadBytes)
	wrong := imgtest.WriteRaw(t, imgtest.New(aheadBytes, 4, imgtest.Run{Len: aheadBytes, Kind: imgtest.Noise}))
	good, err := os.ReadFile(right)
	if err != nil {
		t.Fatal(err)
	}
	for _, again := range []bool{true, false} { // converted ahead the second time, or not
		g, url := newGate(t, wrong, false, aheadGate)
		g.tag.Store("")
		p, store := newPipeline(t, t.TempDir(), loopback())
		j := newJob(url, contract.TargetSpec{Format: "raw"})
		j.ahead, j.source.Checksum = true, fileDigest(t, right)
		f := j.beginFetch(t, p)
		f.until(t, store, 24<<20) // behind a note
		f.cancel()
		<-f.ended
		g.content.Store(&good)
		g.release()
		params := j.fetchParams()
		if !again {
			params.Ahead = nil
		}
		if j.fetched, err = p.Fetch(t.Context(), params, nil); err != nil {
			t.Fatal(err)
		}
		if err := j.build(t, p); err != nil {
			t.Fatal(err)
		}
		imgtest.QemuImg(t, "compare", "-q", "-f", "raw", "-F", "raw", right, objectFile(t, p, j, ".raw"))
	}
}

// TestInterruptedConversionAheadGoesOn cancels the fetch again and again: the end is as
// if nothing had happened.
func TestInterruptedConversionAheadGoesOn(t *testing.T) {
	rawPath := noiseDisk(t, aheadBytes)
	for _, target := range []contract.TargetSpec{{Format: "raw"}, {Format: "qcow2", Compression: "zstd"}} {
		t.Run(target.Format, func(t *testing.T) {
			_, url := newGate(t, rawPath, true, aheadBytes)
			p, store := newPipeline(t, t.TempDir(), loopback())
			p.CheckpointEvery = 1
			j := newJob(url, target)
			j.ahead, j.source.Checksum = true, fileDigest(t, rawPath)
			untilDone(t, func(ctx context.Context, stop pipeline.Observe) (err error) {
				j.fetched, err = p.Fetch(ctx, j.fetchParams(), stop)
				return err
			})
			if err := j.build(t, p); err != nil {
				t.Fatal(err)
			}
			if _, uploads := uploaded(t, store); uploads > 0 {
				t.Errorf("%d uploads are left", uploads)
			}
			imgtest.QemuImg(t, "compare", "-q", "-f", "raw", "-F", target.Format, rawPath, objectFile(t, p, j, "."+target.Format))
		})
	}
}

// TestStagingKeepsItsHolesWhereItsEndCameFirst interrupts a fetch, after which the file
// has its full length: the zeros that come then are holes all the same.
func TestStagingKeepsItsHolesWhereItsEndCameFirst(t *testing.T) {
	const data = 16 << 20
	rawPath := imgtest.WriteRaw(t, imgtest.New(aheadBytes, 6, imgtest.Run{Len: data, Kind: imgtest.Noise}, imgtest.Run{Off: aheadBytes - 1<<20, Len: 1 << 20, Kind: imgtest.Noise}))
	g, url := newGate(t, rawPath, true, data)
	p, store := newPipeline(t, t.TempDir(), loopback())
	j := newJob(url, contract.TargetSpec{Format: "raw"})
	j.ahead, j.source.Checksum = true, fileDigest(t, rawPath)
	f := j.beginFetch(t, p)
	f.until(t, store, 4<<20)
	f.cancel()
	<-f.ended
	staged := filepath.Join(p.StagingDir, j.task, "source")
	if n := fileSize(t, staged); n != aheadBytes {
		t.Fatalf("the staged file has %d bytes: its end did not come first", n)
	}
	g.release()
	if err := j.run(t, p); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(staged)
	if err != nil {
		t.Fatal(err)
	}
	if n := fsutil.Allocated(st); n > data+8<<20 {
		t.Errorf("the staged file takes %d bytes for %d of data", n, data+1<<20)
	}
	imgtest.QemuImg(t, "compare", "-q", "-f", "raw", "-F", "raw", rawPath, objectFile(t, p, j, ".raw"))
}
