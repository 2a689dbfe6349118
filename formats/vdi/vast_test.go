package vdi

import (
	"testing"

	"ingest/formats/formattest"
)

func TestVastDisk(t *testing.T) { formattest.ReaderOfVast(t, Format{}, "vdi") }
