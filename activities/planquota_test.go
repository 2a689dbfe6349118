package activities

import (
	"testing"

	"ingest/metadata"
)

func TestQuotaOfADryRun(t *testing.T) {
	l := metadata.NoLimits()
	u := metadata.Usage{Images: 3, ImageBytes: 100, Reserved: 20, Uploading: 1}
	if got := quotaText(u, l); got != "" {
		t.Errorf("without limits: %q", got)
	}
	l.Images, l.ImageBytes = 10, 1000
	if got, want := quotaText(u, l), "3 of 10 images used, 120 of 1000 bytes of images used"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
