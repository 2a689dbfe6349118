package qcow2

import (
	"encoding/binary"
	"fmt"
	"io"

	"ingest/formats"
)

// Format reads qcow2 images.
type Format struct{}

var _ formats.Format = Format{}

// Name returns "qcow2".
func (Format) Name() formats.Name { return formats.QCOW2 }

// Match looks for the magic. Version 1 is another format with the same magic;
// versions that do not exist match, so that Open can say what is wrong.
func (Format) Match(head, _ []byte, _ int64) formats.Match {
	if len(head) < 8 || string(head[:4]) != magic {
		return formats.Match{}
	}
	v := binary.BigEndian.Uint32(head[4:])
	return formats.Match{OK: v != 1, Subformat: fmt.Sprintf("v%d", v), Value: fmt.Sprintf("%q", magic)}
}

// Open parses and checks the header and the L1 table. L2 tables are read when
// they are needed. A sound header with a backing file, a data file, encryption
// or the corrupt mark yields a disk whose Info().Unreadable is set.
func (Format) Open(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	d, err := open(r, size, lim)
	if err != nil {
		return nil, err
	}
	d.clusters = newDataReader(d)
	return d, nil
}
