package qcow2

import (
	"testing"

	"ingest/formats/formattest"
)

func TestVastDisks(t *testing.T) {
	for _, options := range [][]string{
		{"cluster_size=64k"},
		{"cluster_size=2M"},
		{"cluster_size=64k", "-c"},
		{"compression_type=zstd", "-c"},
		{"extended_l2=on,cluster_size=128k"},
	} {
		t.Run(options[0], func(t *testing.T) { formattest.ReaderOfVast(t, Format{}, "qcow2", options...) })
	}
}
