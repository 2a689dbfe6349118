package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"ingest/internal/bandwidth"
)

// TestLimitsOfFlags sends what was given, and 0 where that is what was given.
func TestLimitsOfFlags(t *testing.T) {
	var h bulkHead
	cmd := &cobra.Command{}
	h.limits(cmd)
	if err := cmd.ParseFlags([]string{"--concurrency", "3", "--bandwidth", "100MiB", "--bandwidth-per-host=0", "--bandwidth-per-store", "1GiB/s", "--per-project", "0"}); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"concurrency": 3, "per_project": 0, "bandwidth": bandwidth.Rate(100 << 20), "bandwidth_per_host": bandwidth.Rate(0), "bandwidth_per_store": bandwidth.Rate(1 << 30)}
	if d := cmp.Diff(want, h.given(cmd)); d != "" {
		t.Error(d)
	}
	if got := h.query(cmd).Encode(); got != "bandwidth=100MiB&bandwidth_per_host=0&bandwidth_per_store=1GiB&concurrency=3&per_project=0" {
		t.Errorf("query %s", got)
	}
	for _, wrong := range []string{"fast", "-1", "100MB", "12"} {
		if err := cmd.ParseFlags([]string{"--bandwidth", wrong}); err == nil {
			t.Errorf("--bandwidth %s is taken", wrong)
		}
	}
}
