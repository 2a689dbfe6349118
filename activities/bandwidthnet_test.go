package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/bandwidth"
	"ingest/internal/contract"
	"ingest/metadata"
	"ingest/metadata/sqlite"
	"ingest/pipeline"
	"ingest/sources"
	httpsource "ingest/sources/http"
)

// An endless server sends as fast as it is read, and counts what it has sent. Its buffers
// are small, so that this is what has been read.
type endless struct {
	url  string
	sent atomic.Int64
}

func newEndless(t *testing.T) *endless {
	t.Helper()
	e := &endless{}
	block := make([]byte, 32<<10)
	for i := range block {
		block[i] = byte(rand.IntN(256))
	}
	block[0], block[1] = 0x11, 0x22 // no format's magic
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// Without ranges the source is staged by one request.
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("Content-Length", fmt.Sprint(1<<30))
			for {
				n, err := w.Write(block)
				if e.sent.Add(int64(n)); err != nil {
					return
				}
			}
		}),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			_ = c.(*net.TCPConn).SetWriteBuffer(64 << 10)
			return ctx
		},
	}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	e.url = "http://" + l.Addr().String()
	return e
}

// A process is a worker with a connection of its own to the catalogue.
type process struct {
	t    *testing.T
	deps Deps
	pipe *pipeline.Pipeline
}

func newProcess(t *testing.T, db string) *process {
	t.Helper()
	repo, err := sqlite.Open(db)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	cat := metadata.New(repo)
	p := &process{t: t, deps: Deps{Catalogue: cat, Bandwidth: NewBandwidth(cat, 0, zerolog.Nop())}}
	t.Cleanup(p.deps.Bandwidth.Stop)
	p.pipe = &pipeline.Pipeline{StagingDir: t.TempDir(), Sources: sources.Set{httpsource.New(httpsource.Options{MaxBytes: -1,
		AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})}}
	return p
}

// fetch stages the source of an item until the context ends.
func (p *process) fetch(ctx context.Context, item int, url string) {
	b := &beat{ctx: ctx, d: p.deps, w: work{taskID: contract.BulkTaskID(trafficBulk, item, 1)}}
	metered, leave, err := b.metered()
	if err != nil {
		p.t.Error(err)
		return
	}
	defer leave()
	_, err = p.pipe.Fetch(metered, contract.FetchParams{TaskID: b.w.taskID, Source: contract.SourceSpec{URL: url, Format: "raw"}}, func(int64, int64, []byte) {})
	if ctx.Err() == nil {
		p.t.Errorf("item %d: the fetch has ended with %v", item, err)
	}
}

// TestFetchesShareABudget stages from two web servers with two workers, whose catalogue is
// one file: what the servers send together is the budget of the bulk, and another one
// soon after it was changed, while the same requests run on.
func TestFetchesShareABudget(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 s: rates are measured over seconds")
	}
	t.Parallel()
	db := filepath.Join(t.TempDir(), "catalogue.db")
	workers := []*process{newProcess(t, db), newProcess(t, db)}
	servers := []*endless{newEndless(t), newEndless(t)}
	cat := workers[0].deps.Catalogue
	var rows []metadata.BulkItem
	for n := range 4 {
		raw, _ := json.Marshal(contract.ImportRequest{Owner: trafficOwner, Source: contract.SourceSpec{URL: servers[n%2].url}})
		rows = append(rows, metadata.BulkItem{N: n + 1, Key: fmt.Sprint(n), Host: servers[n%2].url, Digest: fmt.Sprint(n), Request: raw})
	}
	limits := metadata.BulkLimits{Bandwidth: 8 * mib}
	_, _, err := cat.AddBulk(t.Context(), metadata.Bulk{ID: trafficBulk, Owner: trafficOwner, Digest: "d", WorkflowID: "w", Settings: metadata.BulkSettings{Limits: limits}}, rows, false)
	if err == nil {
		_, err = cat.StepBulk(t.Context(), trafficBulk, metadata.BulkStepper{Now: time.Now(), Most: 4, Default: 4, Prepare: prepareItem, Further: contract.DiskImageID})
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	// Three run in one worker and one in the other: shares are not by their number.
	for n, w := range []int{0, 0, 0, 1} {
		all.Go(func() { workers[w].fetch(ctx, n+1, servers[n%2].url) })
	}
	sent := func() int64 { return servers[0].sent.Load() + servers[1].sent.Load() }
	measure := func(what string, budget bandwidth.Rate, settle, span time.Duration, changed bool) {
		t.Helper()
		time.Sleep(settle)
		for tries := 5; ; tries-- {
			begun, before := time.Now(), sent()
			time.Sleep(span)
			used := float64(sent()-before) / time.Since(begun).Seconds() / float64(budget)
			t.Logf("%s: %.3f of the budget", what, used)
			// A machine that does something else as well: it is never too much, but where a
			// change waits for a slow disk.
			if (used < 0.8 || used > 1.1 && changed) && tries > 1 {
				continue
			}
			if used < 0.8 || used > 1.1 {
				t.Errorf("%s: %.2f of the budget were used", what, used)
			}
			return
		}
	}
	measure("as submitted", 8*mib, 3*time.Second, 10*time.Second, false)
	if _, err := cat.ChangeBulk(ctx, trafficBulk, metadata.BulkChange{Do: metadata.BulkSet, Settings: json.RawMessage(`{"limits":{"bandwidth":"3MiB"}}`)}); err != nil {
		t.Error(err)
	}
	measure("lowered", 3*mib, 3*time.Second, 5*time.Second, true)
	stop()
	all.Wait()
}

// TestWaitForBandwidthIsNoStandstill moves less in an attempt than a step that stands
// still may wait for.
func TestWaitForBandwidthIsNoStandstill(t *testing.T) {
	b := newBench(t)
	b.deps.Stall = 500 * time.Millisecond
	b.deps.Bandwidth = NewBandwidth(b.deps.Catalogue, bandwidth.Least, zerolog.Nop())
	t.Cleanup(b.deps.Bandwidth.Stop)
	b.steps.OnFetch = func(ctx context.Context, _ contract.FetchParams, _ pipeline.Observe) (contract.Fetched, error) {
		return contract.Fetched{}, bandwidth.AdmitAll(ctx, 2<<10)
	}
	begun := time.Now()
	if _, err := b.run(contract.FetchActivity, fetchParams); err != nil {
		t.Fatal(err)
	}
	if time.Since(begun) < 2*b.deps.Stall {
		t.Error("there was nothing to wait for")
	}
}
