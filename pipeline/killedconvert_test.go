package pipeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"ingest/formats"
	"ingest/formats/readers"
	"ingest/internal/contract"
	"ingest/pipeline"
	"ingest/sources/sourcetest"
	"ingest/stores"
	"ingest/stores/fs"
)

// converterEnv tells the test binary to convert: a converterJob.
const converterEnv = "INGEST_TEST_CONVERTER"

// A converterJob is one import up to its convert.
type converterJob struct {
	Dir, URL, Task, Image, Key string
	Target                     contract.TargetSpec
	Unmarked                   bool // the store has no marks
}

// convert runs the steps, in whatever process.
func (j converterJob) convert(ctx context.Context) (contract.Converted, error) {
	store, err := fs.Open(filepath.Join(j.Dir, "store"), "main")
	if err != nil {
		return contract.Converted{}, err
	}
	p := loopbackPipeline(j.Dir)
	p.Readers, p.Limits, p.DefaultStore = readers.All(), formats.DefaultLimits(), "main"
	p.Stores = map[string]stores.Store{"main": store}
	if j.Unmarked {
		p.Stores["main"] = unmarkedStore{store}
	}
	f, err := p.Fetch(ctx, contract.FetchParams{TaskID: j.Task, Source: contract.SourceSpec{URL: j.URL, Format: "raw"}}, nil)
	if err != nil {
		return contract.Converted{}, err
	}
	if f.Staged {
		return contract.Converted{}, fmt.Errorf("the source is staged, it should be read in place")
	}
	return p.Convert(ctx, contract.ConvertParams{TaskID: j.Task, ImageID: j.Image, Fetched: f,
		Detected: contract.Detected{Format: "raw"}, Target: j.Target, Key: j.Key}, nil)
}

func convertAsChild() {
	var j converterJob
	err := json.Unmarshal([]byte(os.Getenv(converterEnv)), &j)
	if err == nil {
		_, err = j.convert(context.Background())
	}
	fmt.Println("ended:", err)
}

// unmarkedStore is a store whose uploads have checkpoints alone, as one in a network.
type unmarkedStore struct{ *fs.Store }

func (s unmarkedStore) Begin(ctx context.Context, key string, size int64) (stores.Upload, error) {
	u, err := s.Store.Begin(ctx, key, size)
	return unmarked(u), err
}

func (s unmarkedStore) Resume(ctx context.Context, id string) (stores.Upload, error) {
	u, err := s.Store.Resume(ctx, id)
	return unmarked(u), err
}

func unmarked(u stores.Upload) stores.Upload {
	if u == nil {
		return nil
	}
	return struct{ stores.Upload }{u}
}

// TestKilledConvertReadsLittleTwice kills a process in the middle of a convert, twice,
// and lets another one go on. By the server's count no kill costs more than is said.
func TestKilledConvertReadsLittleTwice(t *testing.T) {
	const size = 256<<20 + 12345
	content := sourcetest.Content(size, 7)
	for name, c := range map[string]struct {
		target   contract.TargetSpec
		unmarked bool
	}{
		"plan":             {contract.TargetSpec{Format: "raw"}, false},
		"encoder":          {contract.TargetSpec{Format: "qcow2", Compression: "zstd"}, false},
		"without marks":    {contract.TargetSpec{Format: "raw"}, true},
		"encoder unmarked": {contract.TargetSpec{Format: "qcow2", Compression: "zstd"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			site := &meteredSite{content: content, tag: `"one"`, full: make(chan struct{}, 1)}
			srv := httptest.NewServer(site)
			defer srv.Close()
			of := newJob("", c.target)
			j := converterJob{Dir: t.TempDir(), URL: srv.URL + "/disk.raw", Task: of.task, Image: of.image, Key: of.key, Target: c.target, Unmarked: c.unmarked}
			// Each gap is larger than what a kill may cost, so that one who begins anew
			// is found out.
			points := []int64{90 << 20, 190 << 20}
			for _, at := range points {
				site.most.Store(at)
				killWhenFull(t, j, site)
			}
			site.most.Store(0)
			before := site.sent.Load()
			got, err := j.convert(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			calm := j
			calm.Dir, calm.URL, calm.Key = t.TempDir(), srv.URL+"/disk.raw", newJob("", c.target).key
			again := site.sent.Load() - size
			t.Logf("%.1f MiB were sent again after %d kills; the last attempt asked for %.1f", float64(again)/(1<<20), len(points), float64(site.sent.Load()-before)/(1<<20))
			if most := int64(len(points)) * pipeline.LostByKill; again > most {
				t.Errorf("%d bytes were sent again, want at most %d", again, most)
			}
			before = site.sent.Load()
			want, err := calm.convert(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			// Reads ahead that are dropped before they are used would show here.
			if over := site.sent.Load() - before - size; over > 4<<20 {
				t.Errorf("%d bytes more than the source has were sent to an undisturbed import", over)
			}
			if got.ContentDigest != want.ContentDigest || got.Size != want.Size {
				t.Errorf("killed: %+v, undisturbed: %+v", got, want)
			}
		})
	}
}

// killWhenFull starts a child and kills it once the server has given all it may.
func killWhenFull(t *testing.T, j converterJob, site *meteredSite) {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), converterEnv+"="+string(text))
	var out bytes.Buffer
	child.Stdout, child.Stderr = &out, &out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-site.full:
	case <-time.After(2 * time.Minute):
		t.Error("the child does not convert")
	}
	child.Process.Kill()
	child.Wait()
	if out.Len() > 0 {
		t.Fatalf("the child ended by itself: %s", out.String())
	}
	// A request of the dead may have told that it was full, too.
	select {
	case <-site.full:
	default:
	}
}
