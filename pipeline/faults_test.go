package pipeline_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/faultproxy"
	"ingest/internal/faultstore"
	"ingest/internal/imgtest"
	"ingest/internal/s3client"
	"ingest/internal/s3test"
	"ingest/pipeline"
	httpsource "ingest/sources/http"
	"ingest/stores"
	"ingest/stores/s3"
)

// stubborn runs a step until it ends otherwise than by a failure that may pass, as
// Temporal would. It returns how often it was tried.
func stubborn(t *testing.T, what string, step func() error) int {
	t.Helper()
	for tries := 1; ; tries++ {
		err := step()
		if err == nil {
			return tries
		}
		if !errcode.Lookup(errcode.Of(err)).Retryable || tries == 300 {
			t.Fatalf("%s, try %d: %v", what, tries, err)
		}
	}
}

// stubbornly runs a job with as many attempts of each step as it takes.
func (j *job) stubbornly(t *testing.T, p *pipeline.Pipeline) {
	t.Helper()
	ctx := t.Context()
	stubborn(t, "fetch", func() (err error) {
		j.fetched, err = p.Fetch(ctx, contract.FetchParams{TaskID: j.task, ImageID: j.image, Source: j.source}, nil)
		return err
	})
	stubborn(t, "detect", func() (err error) {
		j.detected, _, err = p.Detect(ctx, contract.DetectParams{TaskID: j.task, Fetched: j.fetched, Format: j.source.Format})
		return err
	})
	stubborn(t, "validate", func() error {
		v, _, err := p.Validate(ctx, contract.ValidateParams{TaskID: j.task, Fetched: j.fetched, Detected: j.detected, Target: j.target, Verify: j.verify})
		j.verify = v.Verify
		if err == nil {
			j.target = v.Target
		}
		return err
	})
	stubborn(t, "convert", func() (err error) {
		j.converted, err = p.Convert(ctx, j.convertParams(), nil)
		return err
	})
	stubborn(t, "checksum", func() (err error) {
		j.checksummed, err = p.Checksum(ctx, j.checksumParams(), nil, nil)
		return err
	})
	stubborn(t, "commit", func() (err error) {
		j.stored, err = p.Commit(ctx, contract.StoreParams{TaskID: j.task, Key: j.key, Converted: j.converted, Checksummed: j.checksummed})
		return err
	})
}

// holdsOnly checks that a store has the objects of the keys, and no upload.
func holdsOnly(t *testing.T, s stores.Store, keys ...string) {
	t.Helper()
	for u, err := range s.Uploads(t.Context(), time.Now().Add(time.Hour)) {
		t.Errorf("upload left: %+v, %v", u, err)
	}
	n := 0
	for o, err := range s.(stores.Objects).Objects(t.Context()) {
		n++
		if err != nil || !strings.Contains(strings.Join(keys, " "), o.Key) {
			t.Errorf("object left: %+v, %v", o, err)
		}
	}
	if n != len(keys) {
		t.Errorf("%d objects, want %d", n, len(keys))
	}
}

// A store that fails every n-th call, before or behind its work: imports end right,
// and those that are given up leave nothing.
func TestImportIntoAStoreThatFails(t *testing.T) {
	disk := imgtest.Random(3, 7<<20+512, 5<<20)
	src := imgtest.WriteRaw(t, disk)
	for _, target := range []contract.TargetSpec{{Format: "raw"}, {Format: "qcow2", Compression: "zstd"}} {
		calm, _ := newPipeline(t, filepath.Dir(src))
		want := newJob(src, target)
		if err := want.run(t, calm); err != nil {
			t.Fatal(err)
		}
		failed := int64(0)
		// Convert makes up to ten calls in a row that must succeed, with what it takes up.
		for every := int64(11); every <= 19; every += 4 {
			p, real := newPipeline(t, filepath.Dir(src))
			p.CheckpointEvery = time.Nanosecond
			store := faultstore.New(real, every)
			p.Stores["main"] = store
			for range 3 {
				j := newJob(src, target)
				j.stubbornly(t, p)
				if j.checksummed.HashValue != want.checksummed.HashValue || j.converted.ContentDigest != want.converted.ContentDigest {
					t.Errorf("every %d: %+v, want %+v", every, j.checksummed, want.checksummed)
				}
				holdsOnly(t, real, j.key)
				stubborn(t, "delete", func() error { return store.Delete(t.Context(), j.key) })
				// One that is given up in the middle.
				given := newJob(src, target)
				given.fetched, given.detected, given.target, given.verify = j.fetched, j.detected, j.target, j.verify
				_, _ = p.Convert(t.Context(), given.convertParams(), nil)
				stubborn(t, "cleanup", func() error {
					return p.Cleanup(t.Context(), contract.CleanupParams{TaskID: given.task, ImageID: given.image, Store: "main", Key: given.key})
				})
				holdsOnly(t, real)
			}
			failed += store.Failed()
		}
		t.Logf("%s: %d calls failed", target.Format, failed)
		if failed < 10 {
			t.Error("too few calls failed for this to say anything")
		}
	}
}

// faulty returns a proxy before addr, through which connections meet faults in turn.
func faulty(t *testing.T, addr string, faults ...faultproxy.Fault) *faultproxy.Proxy {
	t.Helper()
	proxy, err := faultproxy.Start(addr, faultproxy.Shape{Latency: 2 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	proxy.SetFaults(func(conn int) faultproxy.Fault { return faults[conn%len(faults)] })
	return proxy
}

const kib = 1 << 10

// networkFaults are those that each second connection meets, by name.
var networkFaults = map[string][]faultproxy.Fault{
	"truncated": {{Kind: faultproxy.Close, After: 700 * kib}, {}, {Kind: faultproxy.Close, After: 10}, {}},
	"reset":     {{Kind: faultproxy.Reset, After: 300 * kib}, {}, {Kind: faultproxy.Reset}, {}},
	"stalled":   {{Kind: faultproxy.Stall, After: 900 * kib}, {}},
	"upwards":   {{Kind: faultproxy.Reset, After: 1, Direction: faultproxy.ToServer}, {}, {Kind: faultproxy.Close, After: 400 * kib, Direction: faultproxy.ToServer}, {}},
}

// A network between us and a web server that drops, delays, truncates and resets: the
// import ends right. One that changes bytes is found out by the digest.
func TestImportOverABadNetwork(t *testing.T) {
	disk := imgtest.New(9<<20+512, 5, imgtest.Run{Len: 9<<20 + 512, Kind: imgtest.Noise})
	raw := imgtest.WriteRaw(t, disk)
	plain := make([]byte, disk.Size())
	imgtest.ReadFull(t, disk, plain, 0)
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256(plain))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v"`)
		http.ServeFile(w, r, raw)
	}))
	t.Cleanup(srv.Close)
	all := map[string][]faultproxy.Fault{"corrupted": {{Kind: faultproxy.Corrupt, After: 1500 * kib}}}
	for name, faults := range networkFaults {
		all[name] = faults
	}
	for name, faults := range all {
		for _, staged := range []bool{true, false} {
			if name == "corrupted" && !staged {
				continue // nobody has a digest to find it out by
			}
			t.Run(fmt.Sprintf("%s, staged %v", name, staged), func(t *testing.T) {
				t.Parallel()
				proxy := faulty(t, strings.TrimPrefix(srv.URL, "http://"), faults...)
				o := httpsource.Options{AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Backoff: time.Millisecond}
				if name == "stalled" {
					o.StallTimeout = 300 * time.Millisecond
				}
				p, store := newPipeline(t, t.TempDir(), httpsource.New(o))
				j := newJob("http://"+proxy.Addr()+"/disk.raw", contract.TargetSpec{Format: "raw"})
				if staged {
					j.source.Checksum = sum
				}
				if name == "corrupted" {
					_, err := p.Fetch(t.Context(), contract.FetchParams{TaskID: j.task, ImageID: j.image, Source: j.source}, nil)
					if code := errcode.Of(err); code != errcode.ChecksumMismatch {
						t.Errorf("bytes that were changed under way: %v", err)
					}
					if err := p.Cleanup(context.Background(), contract.CleanupParams{TaskID: j.task}); err != nil {
						t.Error(err)
					}
					empty(t, p.StagingDir)
					return
				}
				j.stubbornly(t, p)
				if got := "sha256:" + j.checksummed.HashValue; got != sum {
					t.Errorf("stored %s, want %s", got, sum)
				}
				holdsOnly(t, store, j.key)
			})
		}
	}
}

// The same between us and a bucket.
func TestImportIntoABucketOverABadNetwork(t *testing.T) {
	server := s3test.Start(t, s3test.Versity())
	src := imgtest.WriteRaw(t, imgtest.New(13<<20, 5, imgtest.Run{Len: 13 << 20, Kind: imgtest.Noise}))
	// The client waits longer after each failure, so not every second connection fails;
	// and a stalled one is given up after half a minute.
	all := map[string][]faultproxy.Fault{
		"truncated": {{}, {Kind: faultproxy.Close, After: 700 * kib}, {}, {}},
		"reset":     {{}, {Kind: faultproxy.Reset, After: 900 * kib, Direction: faultproxy.ToServer}, {}, {}},
		"corrupted": {{Kind: faultproxy.Corrupt, After: 900 * kib, Direction: faultproxy.ToServer}, {}, {}},
	}
	calm, _ := newPipeline(t, filepath.Dir(src))
	want := newJob(src, contract.TargetSpec{Format: "raw"})
	if err := want.run(t, calm); err != nil {
		t.Fatal(err)
	}
	for name, faults := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _ := newPipeline(t, filepath.Dir(src))
			proxy := faulty(t, strings.TrimPrefix(server.Endpoint, "http://"), faults...)
			bucket := server.Bucket(t)
			open := func(endpoint string) stores.Store {
				c, err := s3client.New(t.Context(), s3client.Options{Endpoint: endpoint, Region: s3test.Region,
					Keys: s3client.Keys{AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey}})
				if err != nil {
					t.Fatal(err)
				}
				s, err := s3.New("main", c, s3.Options{Bucket: bucket, Prefix: "images"})
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			p.Stores["main"] = open("http://" + proxy.Addr())
			j := newJob(src, contract.TargetSpec{Format: "raw"})
			j.stubbornly(t, p)
			if j.checksummed.HashValue != want.checksummed.HashValue {
				t.Errorf("stored %s, want %s", j.checksummed.HashValue, want.checksummed.HashValue)
			}
			holdsOnly(t, open(server.Endpoint), j.key)
		})
	}
}
