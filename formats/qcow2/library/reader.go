package library

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"

	"github.com/lima-vm/go-qcow2reader/image/qcow2"
	"github.com/lima-vm/go-qcow2reader/log"

	"ingest/internal/errcode"
)

// setup is package-level state because what it guards is: the module keeps its
// decompressors in a global map without a lock and writes warnings to the
// standard logger. Both are set once, before the first image is opened, and to
// the same values for everyone.
var setup sync.Once

func register() {
	qcow2.SetDecompressor(qcow2.CompressionTypeZlib, func(r io.Reader) (io.ReadCloser, error) { return inflate(r, false) })
	qcow2.SetDecompressor(qcow2.CompressionTypeZstd, func(r io.Reader) (io.ReadCloser, error) { return inflate(r, true) })
	log.SetWarnFunc(nil)
}

// A Reader reads guest bytes of one image. It is safe for concurrent use.
type Reader struct {
	img  *qcow2.Qcow2
	size int64
}

// Open hands the image to the module. r is the image file of size bytes; it is
// not closed here.
func Open(r io.ReaderAt, size int64, img Image) (rd *Reader, err error) {
	defer guard("opening the image", &err)
	setup.Do(register)
	m := &mask{r: r, size: size, clusterSize: 1 << img.ClusterBits, header: img.header()}
	q, err := qcow2.Open(m, nil)
	if err != nil {
		return nil, explain("open the image", err)
	}
	if err := q.Readable(); err != nil {
		return nil, explain("open the image", err)
	}
	return &Reader{img: q, size: img.Size}, nil
}

// ReadClusters fills p with the guest bytes at off. The caller keeps
// [off, off+len(p)) inside the virtual size and inside stored clusters whose
// table entries it has checked.
func (r *Reader) ReadClusters(p []byte, off int64) (err error) {
	defer guard(fmt.Sprintf("reading at guest offset %d", off), &err)
	if off < 0 || off > r.size || int64(len(p)) > r.size-off {
		return fmt.Errorf("read %d bytes at guest offset %d of a disk of %d bytes", len(p), off, r.size)
	}
	n, err := r.img.ReadAt(p, off)
	if n == len(p) && (err == nil || errors.Is(err, io.EOF)) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return explain(fmt.Sprintf("read %d bytes at guest offset %d", len(p), off), err)
}

// explain finds out whose error it is: one from below the mask or one of the
// decompressors speaks for itself; any other is the module contradicting
// tables that were checked.
func explain(doing string, err error) error {
	var below *sourceError
	if errors.As(err, &below) {
		return below.err
	}
	if e, ok := errcode.As(err); ok {
		return e
	}
	return errcode.Wrap(err, errcode.ParserCrash, "%s: the qcow2 module refuses what the tables allow", doing)
}

// guard turns a panic of the module into an error.
func guard(doing string, err *error) {
	if p := recover(); p != nil {
		*err = errcode.Wrap(fmt.Errorf("panic: %v\n%s", p, debug.Stack()), errcode.ParserCrash,
			"%s failed in an unforeseen way", doing)
	}
}
