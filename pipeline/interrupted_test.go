package pipeline_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/imgtest"
	"ingest/pipeline"
)

// TestInterruptedStepsGoOn cancels fetch, convert and checksum again and again
// and lets them go on: the end is as if nothing had happened.
func TestInterruptedStepsGoOn(t *testing.T) {
	disk := imgtest.New(64<<20+512, 5, imgtest.Run{Len: 64<<20 + 512, Kind: imgtest.Noise})
	src := imgtest.WriteRaw(t, disk)
	for _, target := range targets() {
		t.Run(target.Format+" "+target.Compression, func(t *testing.T) {
			calm, _ := newPipeline(t, filepath.Dir(src))
			want := newJob(src, target)
			if err := want.run(t, calm); err != nil {
				t.Fatal(err)
			}
			p, _ := newPipeline(t, filepath.Dir(src))
			p.CheckpointEvery = 1
			j := newJob(src, target)
			j.fetched, j.detected, j.target = want.fetched, want.detected, want.target
			untilDone(t, func(ctx context.Context, stop pipeline.Observe) (err error) {
				j.converted, err = p.Convert(ctx, j.convertParams(), stop)
				return err
			})
			var resume []byte
			untilDone(t, func(ctx context.Context, stop pipeline.Observe) (err error) {
				j.checksummed, err = p.Checksum(ctx, j.checksumParams(), resume, func(done, total int64, hint []byte) {
					if hint != nil {
						resume = hint
					}
					stop(done, total, hint)
				})
				return err
			})
			if j.checksummed != want.checksummed || j.converted.ContentDigest != want.converted.ContentDigest {
				t.Errorf("interrupted: %+v, want %+v", j.checksummed, want.checksummed)
			}
		})
	}
}

// untilDone runs a step, cancelling it a little later each time, until it ends
// by itself.
func untilDone(t *testing.T, step func(context.Context, pipeline.Observe) error) {
	t.Helper()
	for calls := 1; ; calls += 3 {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		err := step(ctx, func(int64, int64, []byte) {
			if n++; n == calls {
				cancel()
			}
		})
		cancel()
		if err == nil {
			return
		}
		if ctx.Err() == nil || calls > 1000 {
			t.Fatal(err)
		}
	}
}

func TestStagingGoesOnWhereItStopped(t *testing.T) {
	disk := imgtest.New(48<<20, 9, imgtest.Run{Len: 48 << 20, Kind: imgtest.Noise})
	src := imgtest.WriteRaw(t, disk)
	b, _ := os.ReadFile(src)
	sum := sha256.Sum256(b)
	var sent atomic.Int64
	url := serveFile(t, src, true, &sent)
	p, _ := newPipeline(t, t.TempDir(), loopback())
	p.CheckpointEvery = 1
	params := contract.FetchParams{TaskID: newJob("", contract.TargetSpec{}).task,
		Source: contract.SourceSpec{URL: url, Checksum: "sha256:" + hex.EncodeToString(sum[:])}}
	attempts := 0
	untilDone(t, func(ctx context.Context, stop pipeline.Observe) error {
		attempts++
		f, err := p.Fetch(ctx, params, stop)
		if err == nil && (!f.Staged || f.Size != int64(len(b))) {
			t.Errorf("fetched %+v", f)
		}
		return err
	})
	if attempts < 3 {
		t.Fatalf("only %d attempts: nothing was interrupted", attempts)
	}
	// Each attempt may lose what was in flight, and no more.
	if most := int64(len(b)) + int64(attempts)*(64<<20); sent.Load() > most {
		t.Errorf("%d bytes sent in %d attempts for %d", sent.Load(), attempts, len(b))
	}
}
