package qcow2

import (
	"io"
	"sync"

	"ingest/formats"
	"ingest/formats/qcow2/library"
)

// Witness reads qcow2 images like Format, except that the stored bytes come
// through go-qcow2reader, behind the guard of the package library. It finds
// them by its own walk over the tables and inflates by its own rules, so what
// it shows of an image is a second opinion: what ingest wrote is read back
// through it. It is slower, and has no other advantage.
type Witness struct{}

var _ formats.Format = Witness{}

// Name returns "qcow2".
func (Witness) Name() formats.Name { return formats.QCOW2 }

// Match is Format's.
func (Witness) Match(head, tail []byte, size int64) formats.Match {
	return Format{}.Match(head, tail, size)
}

// Open checks as much as Format.Open does.
func (Witness) Open(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	d, err := open(r, size, lim)
	if err != nil {
		return nil, err
	}
	d.clusters = &libraryReader{d: d}
	return d, nil
}

// A libraryReader reads clusters through the module.
type libraryReader struct {
	d  *Disk
	mu sync.Mutex // guards r
	r  *library.Reader
}

var _ clusterReader = (*libraryReader)(nil)

// ReadClusters passes on where the run begins; the module finds the rest.
func (l *libraryReader) ReadClusters(p []byte, e formats.Extent) error {
	r, err := l.open()
	if err != nil {
		return err
	}
	return r.ReadClusters(p, e.Off)
}

// open hands the image to the module when it is first needed, and again if the
// source failed then.
func (l *libraryReader) open() (*library.Reader, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.r != nil {
		return l.r, nil
	}
	d := l.d
	r, err := library.Open(d.r, d.m.fileSize, library.Image{
		ClusterBits: d.h.clusterBits,
		Size:        d.size,
		L1Entries:   uint32(len(d.l1)),
		L1Offset:    int64(d.h.l1Off),
		Zstd:        d.h.compression == compressZstd,
		ExtendedL2:  d.h.extendedL2(),
	})
	if err != nil {
		return nil, err
	}
	l.r = r
	return r, nil
}
