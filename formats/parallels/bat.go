package parallels

import (
	"io"

	"ingest/formats/table"
)

const entryBytes = table.EntryBytes

// noPlace reports whether an entry of the BAT names no place.
func noPlace(entry uint32) bool { return entry == 0 }

// newBAT returns the BAT of n entries, of which it keeps at most limit bytes.
func newBAT(r io.ReaderAt, n, limit int64) *table.Table {
	return table.New(r, headerBytes, n, limit, func(at int64, err error) error {
		return place{"BAT", "", at}.unread(err)
	})
}
