package pipeline_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"ingest/formats"
	"ingest/formats/readers"
	"ingest/internal/contract"
	"ingest/internal/imgtest"
	"ingest/pipeline"
	"ingest/sources"
	"ingest/sources/file"
	"ingest/stores"
	"ingest/stores/fs"
)

// newPipeline returns a pipeline with a store, a staging folder and the sources
// below root.
func newPipeline(t testing.TB, root string, more ...sources.Driver) (*pipeline.Pipeline, *fs.Store) {
	t.Helper()
	dir := t.TempDir()
	store, err := fs.Open(filepath.Join(dir, "store"), "main")
	if err != nil {
		t.Fatal(err)
	}
	staging := filepath.Join(dir, "staging")
	if err := os.Mkdir(staging, 0o700); err != nil {
		t.Fatal(err)
	}
	return &pipeline.Pipeline{
		Readers:      readers.All(),
		Sources:      append(sources.Set{file.New([]string{root})}, more...),
		Stores:       map[string]stores.Store{"main": store},
		DefaultStore: "main",
		StagingDir:   staging,
		OutputFormat: "qcow2",
		HashAlgo:     "sha256",
		Verify:       "full",
		Limits:       formats.DefaultLimits(),
		HostQueue:    "ingest-host-test",
	}, store
}

// A job is one import's parameters from step to step.
type job struct {
	task, image, key string
	source           contract.SourceSpec
	target           contract.TargetSpec
	verify           string
	fetched          contract.Fetched
	detected         contract.Detected
	converted        contract.Converted
	checksummed      contract.Checksummed
	stored           contract.Stored
	// ahead lets the conversion begin while the source is staged.
	ahead bool
}

func newJob(url string, target contract.TargetSpec) *job {
	task, image := uuid.NewString(), uuid.NewString()
	return &job{
		task: task, image: image, key: contract.ObjectKey(image, contract.DerivedUploadID(task, 1, "")),
		source: contract.SourceSpec{URL: url}, target: target,
	}
}

// run runs every step of the job; the first error ends it.
func (j *job) run(t *testing.T, p *pipeline.Pipeline) error {
	t.Helper()
	ctx := t.Context()
	var err error
	if j.fetched, err = p.Fetch(ctx, j.fetchParams(), nil); err != nil {
		return err
	}
	return j.build(t, p)
}

// fetchParams are those of the fetch, as the workflow gives them if j.ahead is set.
func (j *job) fetchParams() contract.FetchParams {
	f := contract.FetchParams{TaskID: j.task, ImageID: j.image, Source: j.source, AsIs: j.target.AsIs}
	if j.ahead {
		f.Ahead = &contract.Ahead{Target: j.target, Round: 1}
	}
	return f
}

// build runs every step behind the fetch.
func (j *job) build(t *testing.T, p *pipeline.Pipeline) error {
	t.Helper()
	ctx := t.Context()
	if err := j.check(ctx, p); err != nil {
		return err
	}
	var err error
	if j.converted, err = p.Convert(ctx, j.convertParams(), nil); err != nil {
		return err
	}
	if j.checksummed, err = p.Checksum(ctx, j.checksumParams(), nil, nil); err != nil {
		return err
	}
	j.stored, err = p.Commit(ctx, contract.StoreParams{TaskID: j.task, Key: j.key, Converted: j.converted, Checksummed: j.checksummed})
	return err
}

// check runs what stands between the fetch and the conversion.
func (j *job) check(ctx context.Context, p *pipeline.Pipeline) (err error) {
	if j.ahead {
		j.key = contract.DiskKey(j.task, j.image, 1, j.fetched.Pin(), 0)
	}
	if j.detected, _, err = p.Detect(ctx, contract.DetectParams{TaskID: j.task, Fetched: j.fetched, Format: j.source.Format, AsIs: j.target.AsIs}); err != nil {
		return err
	}
	v, _, err := p.Validate(ctx, contract.ValidateParams{TaskID: j.task, Fetched: j.fetched, Detected: j.detected, Target: j.target, Verify: j.verify})
	if err != nil {
		return err
	}
	j.target, j.verify = v.Target, v.Verify
	return nil
}

func (j *job) convertParams() contract.ConvertParams {
	return contract.ConvertParams{TaskID: j.task, Fetched: j.fetched, Detected: j.detected, Target: j.target, Key: j.key, Verify: j.verify}
}

func (j *job) checksumParams() contract.ChecksumParams {
	p := contract.ChecksumParams{TaskID: j.task, Target: j.target, Converted: j.converted, Verify: j.verify}
	if j.target.AsIs {
		p.Digest = j.fetched.SourceDigest
	}
	return p
}

// objectFile returns a path of the stored object's bytes with the extension.
func objectFile(t *testing.T, p *pipeline.Pipeline, j *job, ext string) string {
	t.Helper()
	stored := filepath.Join(filepath.Dir(p.StagingDir), "store", "objects", j.key)
	out := filepath.Join(t.TempDir(), "object"+ext)
	if err := os.Symlink(stored, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// eventually waits until something is so, and reports whether it came to that.
func eventually(is func() bool) bool {
	for range 3000 {
		if is() {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return is()
}

// empty fails the test if a folder holds a file.
func empty(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// mixed is a disk with everything on it, not a multiple of any cluster.
func mixed() *imgtest.Disk { return imgtest.Random(7, 37<<20+512, 9<<20) }
