package library

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// headerBytes is the length of the header that the module is shown: the v3
// fields and the compression type with its padding.
const headerBytes = 112

// Incompatible feature bits, section "Header" of the qcow2 specification.
const (
	featureCompression = 1 << 3
	featureExtendedL2  = 1 << 4
)

// An Image holds the header fields that the module needs. The caller has
// checked them: they are within the specification's bounds, and the L1 table
// lies inside the file.
type Image struct {
	ClusterBits uint32
	Size        int64 // virtual size, bytes
	L1Entries   uint32
	L1Offset    int64
	Zstd        bool // compressed clusters are zstd frames, not deflate streams
	ExtendedL2  bool
}

// header returns the header that the module is shown. Its backing file fields
// (bytes 8 to 19) and its feature bits for a dirty or corrupt image and for a
// data file are zero by construction.
func (img Image) header() [headerBytes]byte {
	var h [headerBytes]byte
	var features uint64
	if img.Zstd {
		features |= featureCompression
		h[104] = 1
	}
	if img.ExtendedL2 {
		features |= featureExtendedL2
	}
	be := binary.BigEndian
	copy(h[0:], "QFI\xfb")
	be.PutUint32(h[4:], 3)
	be.PutUint32(h[20:], img.ClusterBits)
	be.PutUint64(h[24:], uint64(img.Size))
	be.PutUint32(h[36:], img.L1Entries)
	be.PutUint64(h[40:], uint64(img.L1Offset))
	be.PutUint64(h[72:], features)
	be.PutUint32(h[96:], 4) // 16-bit refcounts
	be.PutUint32(h[100:], headerBytes)
	return h
}

// A mask is all that the module sees of the image file.
type mask struct {
	r           io.ReaderAt
	size        int64 // file size, bytes
	clusterSize int64
	header      [headerBytes]byte
	inflaters   sync.Pool // of *inflater
}

// A sourceError marks an error as coming from below the mask, so that it can be
// told from the module's own complaints.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// ReadAt serves the first cluster from the header written here, everything
// behind it from the file.
func (m *mask) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, &sourceError{fmt.Errorf("read at negative host offset %d", off)}
	}
	n := 0
	if off < m.clusterSize {
		n = int(min(int64(len(p)), m.clusterSize-off))
		clear(p[:n])
		if off < headerBytes {
			copy(p[:n], m.header[off:])
		}
	}
	if n == len(p) {
		return n, nil
	}
	if err := m.readFile(p[n:], off+int64(n)); err != nil {
		return n, &sourceError{err}
	}
	return len(p), nil
}

// readFile reads all of p, with zeros for what the file's last cluster lacks.
func (m *mask) readFile(p []byte, off int64) error {
	end, err := binio.Add(off, int64(len(p)))
	if err != nil || end > binio.DivCeil(m.size, m.clusterSize)*m.clusterSize {
		return errcode.New(errcode.Truncated, "the image refers to bytes beyond the end of its file").
			With(errcode.Evidence{Format: "qcow2", Offset: errcode.At(off),
				Value: fmt.Sprintf("%d bytes", len(p)), Limit: fmt.Sprintf("file of %d bytes", m.size)})
	}
	stored := p[:max(0, min(int64(len(p)), m.size-off))]
	clear(p[len(stored):])
	if len(stored) == 0 {
		return nil
	}
	err = binio.ReadFull(m.r, stored, off)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF) && errcode.Of(err) == errcode.Internal:
		return errcode.Wrap(err, errcode.Truncated, "the file ends before the %d bytes that it was announced with", m.size).
			With(errcode.Evidence{Format: "qcow2", Structure: "file", Offset: errcode.At(off)})
	}
	return fmt.Errorf("read %d bytes at host offset %d: %w", len(stored), off, err)
}
