package pipeline

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"

	"ingest/formats"
	"ingest/formats/content"
	"ingest/formats/raw"
	"ingest/formats/transfer"
	"ingest/internal/binio"
	"ingest/internal/errcode"
	"ingest/sources"
)

// Digest returns a disk's content digest, and on request the SHA-256 of its
// guest bytes as they would stand in a raw file, in hex.
func (p *Pipeline) Digest(ctx context.Context, disk formats.Disk, rawSum bool, o Observe) (digest, sum string, err error) {
	if o == nil {
		o = ignore
	}
	e := p.engine()
	e.Digest = content.New(disk.Size())
	e.Progress = func(off int64) { o(off, disk.Size(), nil) }
	h := sha256.New()
	var deliver transfer.Deliver
	if rawSum {
		deliver = func(u *transfer.Unit) error {
			if u.Data == nil {
				hashZeros(h, u.Len)
			} else {
				h.Write(u.Data)
			}
			return nil
		}
	}
	if err := e.Run(ctx, disk, 0, disk.Size(), nil, deliver); err != nil {
		return "", "", err
	}
	if rawSum {
		sum = hex.EncodeToString(h.Sum(nil))
	}
	digest, err = e.Digest.Sum()
	return digest, sum, err
}

// digestSource takes the digests of a source's bytes without keeping them.
func (p *Pipeline) digestSource(ctx context.Context, src sources.Source, h *digester, o Observe) error {
	r, err := src.ReaderAt(ctx)
	if err != nil {
		return err
	}
	size := src.Pin().Size
	e := p.engine()
	return e.Run(ctx, raw.New(r, size), 0, size, nil, func(u *transfer.Unit) error {
		if u.Data == nil {
			hashZeros(h, u.Len)
		} else {
			h.Write(u.Data)
		}
		o(u.Off+u.Len, size, nil)
		return nil
	})
}

// A Difference is the first place where two disks differ.
type Difference struct {
	Off   int64  `json:"offset"` // guest offset, bytes
	A     byte   `json:"a"`
	B     byte   `json:"b"`
	SizeA int64  `json:"virtual_size_a"` // bytes
	SizeB int64  `json:"virtual_size_b"`
	What  string `json:"what"` // "content", or "size" if one is longer by data
}

// Compare returns the first difference of two disks' guest bytes, nil if there
// is none. A disk that is longer by zeros only is the same disk padded; padded
// reports that.
func (p *Pipeline) Compare(ctx context.Context, a, b formats.Disk, o Observe) (diff *Difference, padded bool, err error) {
	if o == nil {
		o = ignore
	}
	long, short := a, b
	if a.Size() < b.Size() {
		long, short = b, a
	}
	e := p.engine()
	e.Progress = func(off int64) { o(off, long.Size(), nil) }
	found := &Difference{SizeA: a.Size(), SizeB: b.Size(), What: "content"}
	pair := &pairDisk{a: a, b: b, size: long.Size()}
	err = e.Run(ctx, pair, 0, long.Size(), func(_ context.Context, _ int, u *transfer.Unit) error {
		off, x, y, same, err := pair.firstDifference(u)
		if err != nil || same {
			return err
		}
		u.Out = &Difference{Off: off, A: x, B: y, SizeA: a.Size(), SizeB: b.Size(), What: "content"}
		return nil
	}, func(u *transfer.Unit) error {
		if d, ok := u.Out.(*Difference); ok {
			found = d
			return errDiffers
		}
		return nil
	})
	if err == errDiffers {
		if found.Off >= short.Size() {
			found.What = "size"
		}
		return found, false, nil
	}
	return nil, err == nil && long.Size() != short.Size(), err
}

// errDiffers ends a comparison at the first difference.
var errDiffers = errcode.New(errcode.VerifyMismatch, "the disks differ")

// A pairDisk presents two disks to the engine as one: what either holds as
// data is data. It reads the first; the second is read by firstDifference.
type pairDisk struct {
	a, b formats.Disk
	size int64
}

func (d *pairDisk) Size() int64        { return d.size }
func (d *pairDisk) Close() error       { return nil }
func (d *pairDisk) Info() formats.Info { return formats.Info{VirtualSize: d.size} }

// ReadAt marks every byte as data, so that the engine hands every unit on.
func (d *pairDisk) ReadAt(p []byte, _ int64) (int, error) {
	for i := range p {
		p[i] = 1
	}
	return len(p), nil
}

func (d *pairDisk) ExtentAt(off int64) (formats.Extent, error) {
	ea, err := padExtent(d.a, off, d.size)
	if err != nil {
		return formats.Extent{}, err
	}
	eb, err := padExtent(d.b, off, d.size)
	if err != nil {
		return formats.Extent{}, err
	}
	e := formats.Extent{Off: off, Len: min(ea.End(), eb.End()) - off, State: formats.Hole, HostOff: -1}
	if ea.State == formats.Data || eb.State == formats.Data {
		e.State = formats.Data
	}
	return e, nil
}

// padExtent asks a disk, behind whose end there is a hole.
func padExtent(d formats.Disk, off, size int64) (formats.Extent, error) {
	if off >= d.Size() {
		return formats.Extent{Off: off, Len: size - off, State: formats.Hole}, nil
	}
	return d.ExtentAt(off)
}

// firstDifference compares one unit of both disks.
func (d *pairDisk) firstDifference(u *transfer.Unit) (off int64, x, y byte, same bool, err error) {
	if cap(u.Buf) < transfer.UnitBytes {
		u.Buf = make([]byte, transfer.UnitBytes)
	}
	p, q := u.Data, u.Buf[:u.Len]
	if err := readPadded(d.a, p, u.Off); err != nil {
		return 0, 0, 0, false, err
	}
	if err := readPadded(d.b, q, u.Off); err != nil {
		return 0, 0, 0, false, err
	}
	if bytes.Equal(p, q) {
		return 0, 0, 0, true, nil
	}
	for i := range p {
		if p[i] != q[i] {
			return u.Off + int64(i), p[i], q[i], false, nil
		}
	}
	return 0, 0, 0, true, nil
}

// readPadded reads guest bytes, zeros behind the disk's end.
func readPadded(d formats.Disk, p []byte, off int64) error {
	n := max(0, min(int64(len(p)), d.Size()-off))
	clear(p[n:])
	if n == 0 {
		return nil
	}
	_, err := formats.ReadData(d, p[:n], off)
	return err
}

// Clip returns the first size bytes of a disk as a disk.
func Clip(d formats.Disk, size int64) formats.Disk {
	if size == d.Size() {
		return d
	}
	return &clipped{Disk: d, size: size}
}

type clipped struct {
	formats.Disk
	size int64
}

func (c *clipped) Size() int64 { return c.size }

func (c *clipped) ReadAt(p []byte, off int64) (int, error) {
	if off >= c.size {
		return 0, io.EOF
	}
	n, err := c.Disk.ReadAt(p[:min(int64(len(p)), c.size-off)], off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (c *clipped) ExtentAt(off int64) (formats.Extent, error) {
	e, err := c.Disk.ExtentAt(off)
	if err == nil && e.End() > c.size {
		e.Len = c.size - e.Off
	}
	return e, err
}

func allZero(p []byte) bool { return binio.IsZero(p) }
