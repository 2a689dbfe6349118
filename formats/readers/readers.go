// Package readers lists the disk formats that ingest reads, in one place for
// the program, the tests and the tools.
package readers

import (
	"ingest/formats"
	"ingest/formats/parallels"
	"ingest/formats/qcow2"
	"ingest/formats/raw"
	"ingest/formats/vdi"
	"ingest/formats/vhd"
	"ingest/formats/vhdx"
	"ingest/formats/vmdk"
)

// All returns every format that is read.
func All() []formats.Format {
	return []formats.Format{
		raw.Format{}, qcow2.Format{}, vmdk.Format{}, vhd.Format{}, vhdx.Format{}, vdi.Format{}, parallels.Format{},
	}
}
