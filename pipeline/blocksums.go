package pipeline

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"hash/crc64"

	"ingest/formats/transfer"
	"ingest/internal/binio"
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	folding    = crc64.MakeTable(crc64.ECMA)
)

// blockSums folds the CRC-32C of each unit of stored bytes, 0 for one of zeros, into one
// number. It tells bytes that a store has lost or changed from those that it was given,
// at a fraction of what a digest costs; it is no proof against somebody who wants it to
// be fooled, who would have to stand between a store and its own reader.
type blockSums struct{ fold uint64 }

func (b *blockSums) data(crc uint32) {
	var p [4]byte
	binary.LittleEndian.PutUint32(p[:], crc)
	b.fold = crc64.Update(b.fold, folding, p[:])
}

// zeros folds n zero bytes: whole units, unless they reach the end.
func (b *blockSums) zeros(n int64) {
	for k := binio.DivCeil(n, transfer.UnitBytes); k > 0; k-- {
		b.data(0)
	}
}

// unit folds a unit, and returns the checksum of one of data.
func (b *blockSums) unit(u *transfer.Unit) uint32 {
	if u.Data == nil {
		b.zeros(u.Len)
		return 0
	}
	crc := crc32.Checksum(u.Data, castagnoli)
	b.data(crc)
	return crc
}

// text is the number as it is kept.
func (b *blockSums) text() string { return fmt.Sprintf("crc32c-2m:%016x", b.fold) }
