package vdi

import (
	"io"

	"ingest/formats/table"
)

const entryBytes = table.EntryBytes

// The entries that name no place.
const (
	entryHole = 0xFFFFFFFF
	entryZero = 0xFFFFFFFE
)

// noPlace reports whether an entry of the block map names no place.
func noPlace(entry uint32) bool { return entry >= entryZero }

// newBmap returns the block map of n entries at host offset off, of which it
// keeps at most limit bytes.
func newBmap(r io.ReaderAt, off, n, limit int64) *table.Table {
	return table.New(r, off, n, limit, func(at int64, err error) error {
		return place{"block map", "", at}.unread(err)
	})
}
