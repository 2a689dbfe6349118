package vmdk

import (
	"context"
	"encoding/binary"
	"hash/adler32"

	"github.com/klauspost/compress/zlib"

	"ingest/formats"
	"ingest/formats/asis"
	"ingest/formats/transfer"
	"ingest/internal/binio"
	"ingest/internal/deflate"
)

// A grainWorkshop is what the workers do to units of data, with one set of tools
// for each worker.
//
// A worker leaves its work in the unit's Buf: for each grain a length of four
// bytes, 0 for zeros, and behind all lengths the grains one after the other as
// they are to stand in the file: marker, zlib stream, zeros up to a sector.
type grainWorkshop struct {
	level int
	src   *asis.Source // streams that the source has already, nil if none
	tools []grainTools
}

type grainTools struct {
	own  *deflate.Encoder
	zlib *zlib.Writer // for levels that look longer for matches than own does
	out  appender
	take asis.Taker
	last []byte // the disk's last grain, filled up with zeros
}

func newGrainWorkshop(level int, src formats.Disk, workers int) *grainWorkshop {
	return &grainWorkshop{level: level, src: asis.Of(src, grainBytes), tools: make([]grainTools, workers)}
}

const lengthBytes = 4

// zlibWindow is how far back the readers of a grain look, bytes.
const zlibWindow = 32 << 10

// unit works on one unit of data.
func (w *grainWorkshop) unit(_ context.Context, worker int, u *transfer.Unit) error {
	n := binio.DivCeil(u.Len, grainBytes)
	t := &w.tools[worker]
	t.out = appendZeros(appender(u.Buf[:0]), int(n*lengthBytes))
	for i := range n {
		at := i * grainBytes
		p := u.Data[at:min(at+grainBytes, u.Len)]
		if binio.IsZero(p) {
			continue
		}
		before := len(t.out)
		if err := w.grain(t, p, u.Off+at); err != nil {
			return err
		}
		binary.LittleEndian.PutUint32(t.out[i*lengthBytes:], uint32(len(t.out)-before))
	}
	u.Buf, t.out = t.out, nil
	return nil
}

// grain appends the guest bytes at off, a whole grain or the disk's last. One
// that does not shrink is a zlib stream too, of stored blocks.
func (w *grainWorkshop) grain(t *grainTools, p []byte, off int64) error {
	if len(p) < grainBytes {
		t.last = append(t.last[:0], p...)
		t.last = append(t.last, make([]byte, grainBytes-len(p))...)
		p = t.last
	}
	start := len(t.out)
	t.out = appendZeros(t.out, grainHeaderBytes)
	stream, ok, err := t.take.Deflate(w.src, off, p, zlibWindow)
	if err != nil {
		return err
	}
	if ok && len(stream) < len(p) {
		// RFC 1950 section 2.2: deflate with a window of 32 KiB, no dictionary, no
		// word on the level; behind the stream the checksum of what it stands for.
		t.out = append(append(t.out, 0x78, 0x01), stream...)
		t.out = binary.BigEndian.AppendUint32(t.out, adler32.Checksum(p))
	} else if err := w.deflate(t, p); err != nil {
		return err
	}
	marker := t.out[start:]
	binary.LittleEndian.PutUint64(marker, uint64(off/sectorBytes))
	binary.LittleEndian.PutUint32(marker[8:], uint32(len(marker)-grainHeaderBytes))
	t.out = appendZeros(t.out, -(len(t.out)-start)&(sectorBytes-1))
	return nil
}

// deflate appends the zlib stream of p.
func (w *grainWorkshop) deflate(t *grainTools, p []byte) error {
	if effort, ok := deflate.LevelEffort(w.level); ok {
		if t.own == nil {
			t.own = deflate.New(deflate.MaxWindow, effort)
		}
		t.out = t.own.Zlib(t.out, p)
		return nil
	}
	if t.zlib == nil {
		var err error
		if t.zlib, err = zlib.NewWriterLevel(&t.out, w.level); err != nil {
			return err
		}
	} else {
		t.zlib.Reset(&t.out)
	}
	if _, err := t.zlib.Write(p); err != nil {
		return err
	}
	return t.zlib.Close()
}

// An appender keeps what is written to it.
type appender []byte

// Write never fails.
func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}

// appendZeros appends n zero bytes, at most a unit's lengths or a sector.
func appendZeros(p appender, n int) appender {
	var zeros [sectorBytes]byte
	return append(p, zeros[:n]...)
}
