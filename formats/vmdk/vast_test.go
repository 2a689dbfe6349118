package vmdk

import (
	"testing"

	"ingest/formats/formattest"
)

func TestVastDisks(t *testing.T) {
	for _, sub := range []string{monolithicSparse, streamOptimized} {
		t.Run(sub, func(t *testing.T) { formattest.ReaderOfVast(t, Format{}, "vmdk", "subformat="+sub) })
	}
}
