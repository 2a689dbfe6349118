package qcow2

import (
	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// windowBits is what QEMU opens deflate streams of version 2 and 3 images with.
const windowBits = 12

var _ formats.PackedReader = (*Disk)(nil)

// PackedAt returns the compressed cluster that holds off. HostLen counts to the
// end of the last sector that its descriptor names, or to the end of the file.
func (d *Disk) PackedAt(off int64) (formats.Packed, bool, error) {
	if err := d.inDisk(off); err != nil {
		return formats.Packed{}, false, err
	}
	index := off / d.m.span
	if d.l1[index]&entryOffset == 0 {
		return formats.Packed{}, false, nil
	}
	raw, err := d.table(index)
	if err != nil {
		return formats.Packed{}, false, err
	}
	c, err := d.mapping(raw, index, off)
	if err != nil || !c.compressed {
		return formats.Packed{}, false, err
	}
	off -= off % d.m.cluster
	p := formats.Packed{
		Off: off, Len: min(d.m.cluster, d.size-off), Size: d.m.cluster,
		HostOff: c.host, HostLen: min(c.length, d.m.fileSize-c.host),
		Codec: formats.CodecDeflate, Window: windowBits,
	}
	if d.h.compression == compressZstd {
		p.Codec, p.Window = formats.CodecZstd, 0
	}
	return p, true, nil
}

// ReadHost reads from the file.
func (d *Disk) ReadHost(buf []byte, hostOff int64) error {
	if hostOff < 0 || hostOff > d.m.fileSize || int64(len(buf)) > d.m.fileSize-hostOff {
		return errcode.New(errcode.BadRequest, "read %d bytes at host offset %d of a file of %d bytes", len(buf), hostOff, d.m.fileSize)
	}
	if err := binio.ReadFull(d.r, buf, hostOff); err != nil {
		return readError(err, "read compressed clusters", hostOff)
	}
	return nil
}

// Stream returns what is stored of a deflate stream to its end and beyond, and
// of zstd the frames that fill the cluster.
func (d *Disk) Stream(p formats.Packed, stored []byte) ([]byte, error) {
	if p.HostLen <= 0 || int64(len(stored)) != p.HostLen {
		return nil, errcode.New(errcode.BadRequest, "%d bytes of a compressed cluster of %d", len(stored), p.HostLen)
	}
	if d.h.compression != compressZstd {
		return stored, nil
	}
	n, err := framesLen(stored, p.Size)
	if err != nil {
		return nil, errcode.Wrap(err, errcode.CompressionCorrupt, "compressed cluster at host offset %d has no frame", p.HostOff).
			With(evidence("compressed cluster", "", p.HostOff, p.HostLen))
	}
	return stored[:n], nil
}

// inDisk refuses guest offsets outside the disk, and all if its data cannot be
// read.
func (d *Disk) inDisk(off int64) error {
	if d.info.Unreadable != nil {
		return d.info.Unreadable
	}
	if off < 0 || off >= d.size {
		return errcode.New(errcode.BadRequest, "guest offset %d of a disk of %d bytes", off, d.size)
	}
	return nil
}
