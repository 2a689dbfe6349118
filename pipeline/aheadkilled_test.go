package pipeline_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"ingest/formats"
	"ingest/formats/readers"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/pipeline"
	"ingest/sources"
	"ingest/stores"
	"ingest/stores/fs"
)

// aheadEnv tells the test binary to fetch, and to convert meanwhile: an aheadJob.
const aheadEnv = "INGEST_TEST_AHEAD"

// An aheadJob is one fetch in whatever process.
type aheadJob struct {
	Dir   string
	Fetch contract.FetchParams
	About *sources.About // of the source, nil if it stands in no catalogue
}

func (j aheadJob) pipeline() (*pipeline.Pipeline, *fs.Store, error) {
	store, err := fs.Open(filepath.Join(j.Dir, "store"), "main")
	if err != nil {
		return nil, nil, err
	}
	p := loopbackPipeline(filepath.Join(j.Dir, "staging"))
	p.Readers, p.Limits, p.DefaultStore, p.HashAlgo, p.Verify = readers.All(), formats.DefaultLimits(), "main", "sha256", "full"
	p.Stores = map[string]stores.Store{"main": store}
	if j.About != nil {
		p.Sources = sources.Set{told{p.Sources[0], j.About}}
	}
	return p, store, os.MkdirAll(p.StagingDir, 0o700)
}

func fetchAheadAsChild() {
	var j aheadJob
	err := json.Unmarshal([]byte(os.Getenv(aheadEnv)), &j)
	if err == nil {
		var p *pipeline.Pipeline
		if p, _, err = j.pipeline(); err == nil {
			_, err = p.Fetch(context.Background(), j.Fetch, nil)
		}
	}
	fmt.Println("ended:", err)
}

// TestKilledFetchGoesOnWithItsConversion kills a process that stages and converts: the
// next one goes on with both, in the same upload.
func TestKilledFetchGoesOnWithItsConversion(t *testing.T) {
	rawPath := noiseDisk(t, aheadBytes)
	t.Run("raw", func(t *testing.T) {
		goesOnKilled(t, rawPath, contract.TargetSpec{Format: "raw"}, nil)
	})
	t.Run("as it is", func(t *testing.T) {
		goesOnKilled(t, rawPath, contract.TargetSpec{AsIs: true},
			&sources.About{DiskFormat: "raw", ContainerFormat: "bare", Digests: []string{fileDigest(t, rawPath)}})
	})
}

func goesOnKilled(t *testing.T, rawPath string, target contract.TargetSpec, about *sources.About) {
	g, url := newGate(t, rawPath, true, aheadGate)
	j := newJob(url, target)
	if j.ahead = true; about == nil {
		j.source.Checksum = fileDigest(t, rawPath)
	}
	work := aheadJob{t.TempDir(), j.fetchParams(), about}
	p, store, err := work.pipeline()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(work)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), aheadEnv+"="+string(text))
	var out bytes.Buffer
	child.Stdout, child.Stderr = &out, &out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	(&fetching{}).until(t, store, 24<<20)
	child.Process.Kill()
	child.Wait()
	if out.Len() > 0 {
		t.Fatalf("the child ended by itself: %s", out.String())
	}
	key := contract.DiskKey(j.task, j.image, 1, fmt.Sprintf("%d/%s", aheadBytes, `"one"`), 0)
	begun, err := store.Find(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	g.release()
	if err := j.run(t, p); err != nil {
		t.Fatal(err)
	}
	if j.key != key || j.converted.UploadID != begun {
		t.Errorf("converted into %s for %s, the child began %s for %s", j.converted.UploadID, j.key, begun, key)
	}
	stored := filepath.Join(work.Dir, "store", "objects", j.key)
	imgtest.QemuImg(t, "compare", "-q", "-f", "raw", "-F", "raw", rawPath, stored)
}

// aliased makes a qcow2 image of which two guest clusters are one host cluster: only
// its tables refuse it.
func aliased(t *testing.T, rawPath string) string {
	t.Helper()
	path := imgtest.Convert(t, rawPath, "raw", "qcow2")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const offset = 1<<56 - 1<<9 // of tables and clusters, in their entries
	l1 := binary.BigEndian.Uint64(b[40:])
	l2 := binary.BigEndian.Uint64(b[l1:]) & offset
	copy(b[l2+8*700:], b[l2:l2+8])
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRefusedImageLeavesNothingThatWasWrittenAhead refuses one image by its tables, of
// which something has been written before, and one by its head, of which nothing has.
func TestRefusedImageLeavesNothingThatWasWrittenAhead(t *testing.T) {
	for _, c := range []struct {
		name, path string
		ahead      int64 // bytes in the upload before the rest is sent
		want       errcode.Code
	}{
		{"tables", aliased(t, noiseDisk(t, aheadBytes)), 8 << 20, errcode.AliasedBlocks},
		{"head", long(t, overlay(t)), 0, errcode.QCOW2BackingFile},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, url := newGate(t, c.path, true, aheadGate)
			p, store := newPipeline(t, t.TempDir(), loopback())
			j := newJob(url, contract.TargetSpec{Format: "raw"})
			j.ahead, j.source.Checksum = true, fileDigest(t, c.path)
			f := j.beginFetch(t, p)
			if c.ahead > 0 {
				f.until(t, store, c.ahead)
				g.release()
			}
			err := <-f.ended
			if err == nil {
				err = j.build(t, p)
			}
			if errcode.Of(err) != c.want {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if _, uploads := uploaded(t, store); uploads > 0 != (c.ahead > 0) {
				t.Errorf("%d uploads before the cleanup", uploads)
			}
			if err := p.Cleanup(t.Context(), contract.CleanupParams{TaskID: j.task}); err != nil {
				t.Fatal(err)
			}
			nothingLeft(t, p, store)
		})
	}
}

// brokenStore is a store whose uploads cannot be written to, for as long as broken.
type brokenStore struct {
	*fs.Store
	broken, met atomic.Bool
	how         func() error
}

func (s *brokenStore) Begin(ctx context.Context, key string, size int64) (stores.Upload, error) {
	u, err := s.Store.Begin(ctx, key, size)
	if err != nil {
		return nil, err
	}
	return &brokenUpload{u, s}, nil
}

type brokenUpload struct {
	stores.Upload
	s *brokenStore
}

func (u *brokenUpload) WriteAt(p []byte, off int64) (int, error) {
	if u.s.broken.Load() {
		defer u.s.met.Store(true)
		return 0, u.s.how()
	}
	return u.Upload.WriteAt(p, off)
}

// TestFetchOutlivesItsConversion has the conversion fail in the middle: the fetch does
// not, nothing is left of it, and the import goes on as if it had not been tried.
func TestFetchOutlivesItsConversion(t *testing.T) {
	rawPath := noiseDisk(t, aheadBytes)
	for name, how := range map[string]func() error{
		"no room": func() error { return errcode.New(errcode.NoSpace, "no") },
		"a panic": func() error { panic("a bug") },
	} {
		for _, format := range []string{"raw", "vmdk"} {
			t.Run(name+" "+format, func(t *testing.T) {
				g, url := newGate(t, rawPath, true, aheadGate)
				p, store := newPipeline(t, t.TempDir(), loopback())
				s := &brokenStore{Store: store, how: how}
				s.broken.Store(true)
				p.Stores["main"] = s
				j := newJob(url, contract.TargetSpec{Format: format})
				j.ahead, j.source.Checksum = true, fileDigest(t, rawPath)
				f := j.beginFetch(t, p)
				if !eventually(func() bool {
					met := s.met.Load() // first: before it there may be no upload yet
					_, uploads := uploaded(t, store)
					return met && uploads == 0
				}) {
					_, uploads := uploaded(t, store)
					t.Fatalf("tried: %v, %d uploads are left", s.met.Load(), uploads)
				}
				g.release()
				if err := <-f.ended; err != nil {
					t.Fatal(err)
				}
				s.broken.Store(false)
				if err := j.build(t, p); err != nil {
					t.Fatal(err)
				}
				imgtest.QemuImg(t, "compare", "-q", "-f", "raw", "-F", format, rawPath, objectFile(t, p, j, "."+format))
			})
		}
	}
}

// TestChangedSourceIsConvertedAnew fetches a second version after the first one was
// converted in part: nothing of that is left.
func TestChangedSourceIsConvertedAnew(t *testing.T) {
	first, second := noiseDisk(t, aheadBytes), imgtest.WriteRaw(t, imgtest.New(aheadBytes, 8, imgtest.Run{Len: aheadBytes, Kind: imgtest.Noise}))
	g, url := newGate(t, first, true, aheadGate)
	p, store := newPipeline(t, t.TempDir(), loopback())
	j := newJob(url, contract.TargetSpec{Format: "raw"})
	j.ahead, j.source.Checksum = true, fileDigest(t, second)
	f := j.beginFetch(t, p)
	f.until(t, store, 24<<20)
	content, err := os.ReadFile(second)
	if err != nil {
		t.Fatal(err)
	}
	g.change(`"two"`, content)
	g.release()
	if err := <-f.ended; errcode.Of(err) != errcode.SourceChanged {
		t.Fatalf("got %v, want %s", err, errcode.SourceChanged)
	}
	if err := j.run(t, p); err != nil {
		t.Fatal(err)
	}
	if _, uploads := uploaded(t, store); uploads > 0 {
		t.Errorf("%d uploads are left", uploads)
	}
	imgtest.QemuImg(t, "compare", "-q", "-f", "raw", "-F", "raw", second, objectFile(t, p, j, ".raw"))
}
