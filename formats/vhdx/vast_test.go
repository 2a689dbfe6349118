package vhdx

import (
	"testing"

	"ingest/formats/formattest"
)

func TestVastDisks(t *testing.T) {
	for _, block := range []string{"1M", "32M"} {
		t.Run(block, func(t *testing.T) {
			formattest.ReaderOfVast(t, Format{}, "vhdx", "subformat=dynamic,block_size="+block)
		})
	}
}
