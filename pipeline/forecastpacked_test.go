package pipeline_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/internal/contract"
	"ingest/pipeline"
)

// What a dry run says of sources that something is around is what the import finds,
// as far as it says it.
func TestForecastOfPackedSources(t *testing.T) {
	dir := t.TempDir()
	for _, c := range packedSources(t, dir) {
		p, _ := newPipeline(t, dir, loopback())
		j := newJob(c.path, contract.TargetSpec{})
		if err := j.begin(t, p); err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{"file", "ranges", "no ranges"} {
			t.Run(c.name+"/"+from, func(t *testing.T) {
				p, _ := newPipeline(t, dir, loopback())
				url := c.path
				if from != "file" {
					url = serveFile(t, c.path, from == "ranges", new(atomic.Int64))
				}
				got := forecast(t, p, planOf(url, contract.TargetSpec{}))
				if got.Verdict == contract.VerdictRefused || got.Sources[0].Layer != c.layer || got.Sources[0].Staged != (c.layer != "" || from == "no ranges") {
					t.Fatalf("%s, %+v, %+v", got.Verdict, got.Error, got.Sources)
				}
				if len(got.Unknowns) == 0 {
					if got.Verdict != contract.VerdictAccepted || len(got.Disks) != len(c.disks) {
						t.Errorf("%s, %d disks, want %d", got.Verdict, len(got.Disks), len(c.disks))
					}
					want := j.detected
					want.AllocatedSize = got.Detected.AllocatedSize // holes of a network's raw file are not known
					for i := range want.Disks {
						want.Disks[i].AllocatedSize = got.Detected.Disks[i].AllocatedSize
					}
					if diff := cmp.Diff(want, *got.Detected); diff != "" {
						t.Errorf("detected (-import +dry run):\n%s", diff)
					}
					return
				}
				if d := got.Detected; d != nil && d.Format != "" && (d.Format != j.detected.Format || d.VirtualSize != contract.Unknown && d.VirtualSize != j.detected.VirtualSize) {
					t.Errorf("%+v, and the import finds %+v", d, j.detected)
				}
				t.Logf("%s; %q", got.Verdict, got.Unknowns)
			})
		}
	}
}

// A container image is known by its begin: it stays what it is, and a target that is
// asked for is refused as by the import.
func TestForecastOfContainerImages(t *testing.T) {
	dir := t.TempDir()
	image := containerImageOf(t, "etc/motd", 2_000_000)
	if len(image) <= pipeline.ForecastUnpacked {
		t.Fatalf("the image has %d bytes, and is read whole", len(image))
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(image)
	z.Close()
	for name, file := range map[string][]byte{"image.tar": image, "image.tar.gz": packed.Bytes()} {
		path := put(t, dir, name, file)
		for _, from := range []string{"file", "ranges", "no ranges"} {
			t.Run(name+"/"+from, func(t *testing.T) {
				url := path
				if from != "file" {
					url = serveFile(t, path, from == "ranges", new(atomic.Int64))
				}
				p, _ := newPipeline(t, dir, loopback())
				got := forecast(t, p, planOf(url, contract.TargetSpec{}))
				if got.Verdict != contract.VerdictAccepted || len(got.Disks) != 1 || got.Detected.Container != "docker" || got.Detected.Format != "docker" {
					t.Fatalf("%s, %+v, %+v, %q", got.Verdict, got.Error, got.Detected, got.Unknowns)
				}
				if to := got.Disks[0].Target; to.StoredAs() != "raw" || to.ContainerFormat != "docker" {
					t.Errorf("becomes %+v", to)
				}
				if size := got.Detected.VirtualSize; size != int64(len(image)) && (size != contract.Unknown || name == "image.tar") {
					t.Errorf("%d bytes of %d", size, len(image))
				}
				j := newJob(path, contract.TargetSpec{Format: "qcow2"})
				want := contract.ValueOf(j.run(t, p))
				got = forecast(t, p, planOf(url, contract.TargetSpec{Format: "qcow2"}))
				if got.Error == nil {
					t.Fatalf("%s as a qcow2", got.Verdict)
				}
				if diff := cmp.Diff(want, *got.Error); diff != "" {
					t.Errorf("as a qcow2 (-import +dry run):\n%s", diff)
				}
			})
		}
	}
}

// All files of an image are looked at, and one that is missing is told as by the
// import.
func TestForecastOfSeveralFiles(t *testing.T) {
	for name, make := range map[string]func(*testing.T) set{"VMDK of extents": sparseSet, "VHD over its parent": vhdSet} {
		t.Run(name, func(t *testing.T) {
			s := make(t)
			srv := serve(t, s)
			dir := filepath.Dir(s.files[0])
			for _, at := range []string{dir, srv.url} {
				p, _ := newPipeline(t, dir, loopback())
				j := importOf(s, at, contract.TargetSpec{Format: "raw"})
				req := contract.ImportRequest{Source: j.source, Target: j.target}
				got := forecast(t, p, req)
				if got.Verdict != contract.VerdictAccepted || len(got.Sources) != len(s.files) || got.Detected.VirtualSize != s.want.Size() || got.Stages() {
					t.Errorf("from %s: %s, %+v, %+v, %q", at, got.Verdict, got.Error, got.Sources, got.Unknowns)
				}
				if raw, err := json.Marshal(got); err != nil || strings.Contains(string(raw), "secret") {
					t.Errorf("%v: %s", err, raw)
				}
				req.Source.Members = req.Source.Members[1:]
				_, err := p.Fetch(t.Context(), contract.FetchParams{Source: req.Source}, nil)
				if err != nil {
					t.Fatal(err)
				}
				fewer := newJob(req.Source.URL, contract.TargetSpec{})
				fewer.source = req.Source
				want := contract.ValueOf(fewer.run(t, p))
				got = forecast(t, p, req)
				if got.Error == nil {
					t.Fatalf("from %s: %s without a member", at, got.Verdict)
				}
				if diff := cmp.Diff(want, *got.Error); diff != "" {
					t.Errorf("from %s (-import +dry run):\n%s", at, diff)
				}
			}
		})
	}
}
