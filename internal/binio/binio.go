// Package binio decodes fields of hostile bytes: every read is bounded, every
// sum and product is checked, and every allocation has a named limit.
package binio

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
)

// ErrOverflow is returned by the checked helpers when a result does not fit.
var ErrOverflow = errors.New("arithmetic overflow")

// ErrLimit is returned when a length from input is above the caller's limit.
var ErrLimit = errors.New("length above limit")

// ErrPastEnd is returned when a range does not lie inside the file.
var ErrPastEnd = errors.New("range past the end of the file")

// Add returns a+b for non-negative values.
func Add(a, b int64) (int64, error) {
	if a < 0 || b < 0 || a > math.MaxInt64-b {
		return 0, ErrOverflow
	}
	return a + b, nil
}

// Mul returns a*b for non-negative values.
func Mul(a, b int64) (int64, error) {
	if a < 0 || b < 0 {
		return 0, ErrOverflow
	}
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, ErrOverflow
	}
	return int64(lo), nil
}

// Int64 converts an on-disk value, which must fit.
func Int64(v uint64) (int64, error) {
	if v > math.MaxInt64 {
		return 0, ErrOverflow
	}
	return int64(v), nil
}

// DivCeil returns a/b rounded up, for a >= 0 and b > 0, without overflow.
func DivCeil(a, b int64) int64 {
	q := a / b
	if a%b != 0 {
		q++
	}
	return q
}

// AlignUp returns a rounded up to a multiple of b, for a >= 0 and b > 0.
func AlignUp(a, b int64) (int64, error) { return Mul(DivCeil(a, b), b) }

// IsZero reports whether all of p is zero.
func IsZero(p []byte) bool {
	for len(p) >= 32 {
		if le64(p)|le64(p[8:])|le64(p[16:])|le64(p[24:]) != 0 {
			return false
		}
		p = p[32:]
	}
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

func le64(p []byte) uint64 {
	_ = p[7]
	return uint64(p[0]) | uint64(p[1])<<8 | uint64(p[2])<<16 | uint64(p[3])<<24 |
		uint64(p[4])<<32 | uint64(p[5])<<40 | uint64(p[6])<<48 | uint64(p[7])<<56
}

// ReadRange reads exactly n bytes at off of a file of the given size. It
// allocates only after it has checked that n is at most limit and that the
// range lies inside the file.
func ReadRange(r io.ReaderAt, size, off, n, limit int64) ([]byte, error) {
	if n < 0 || n > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrLimit, n, limit)
	}
	end, err := Add(off, n)
	if err != nil {
		return nil, err
	}
	if end > size {
		return nil, fmt.Errorf("%w: bytes %d to %d of %d", ErrPastEnd, off, end, size)
	}
	p := make([]byte, n)
	if err := ReadFull(r, p, off); err != nil {
		return nil, err
	}
	return p, nil
}

// ReadFull fills p from off. Unlike io.ReaderAt, it treats io.EOF after a full
// read as success, and a short read as io.ErrUnexpectedEOF.
func ReadFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
