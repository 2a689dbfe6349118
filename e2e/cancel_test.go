package e2e

import (
	"testing"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

func TestCancel(t *testing.T) {
	t.Parallel()
	raw := disk(t, 6, 64*mib)
	s := start(t, loopback)
	for _, c := range []struct {
		name   string
		stage  contract.Stage
		ranges bool
		target contract.TargetSpec
	}{
		{"fetch", contract.StageFetch, false, contract.TargetSpec{}},
		{"convert to raw", contract.StageConvert, true, contract.TargetSpec{Format: "raw"}},
		{"convert to qcow2", contract.StageConvert, true, contract.TargetSpec{Format: "qcow2", Compression: "zlib"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.in(t)
			from := serveFile(t, raw, c.ranges, 6*mib).slowBehind(16 * mib)
			id := s.submit(of(from.URL, c.target)).TaskID
			s.await(id, c.stage, mib)
			if _, err := s.api.Cancel(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			answered := time.Now()
			task := s.finished(id)
			took := time.Since(answered)
			t.Logf("ended %.2f s after the cancel was answered", took.Seconds())
			// Two seconds are wanted; a machine that is busy may take longer. The source
			// alone would take a minute and a half.
			if took > 20*time.Second {
				t.Errorf("the task ended %v after the cancel", took)
			}
			s.failed(id, string(errcode.TaskCancelled))
			if string(c.stage) != task.Error.Stage {
				t.Errorf("cancelled at %s, want %s", task.Error.Stage, c.stage)
			}
			if _, err := s.api.Cancel(t.Context(), id); errcode.Of(err) != errcode.Conflict {
				t.Errorf("a second cancel: %v, want %s", err, errcode.Conflict)
			}
		})
	}
}
