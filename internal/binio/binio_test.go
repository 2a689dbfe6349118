package binio

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

func TestCheckedArithmetic(t *testing.T) {
	if _, err := Add(math.MaxInt64, 1); !errors.Is(err, ErrOverflow) {
		t.Error("Add past the maximum is not refused")
	}
	if v, err := Add(math.MaxInt64-1, 1); err != nil || v != math.MaxInt64 {
		t.Errorf("Add to the maximum = %d, %v", v, err)
	}
	if _, err := Mul(1<<32, 1<<31); !errors.Is(err, ErrOverflow) {
		t.Error("Mul of 2^63 is not refused")
	}
	if v, err := Mul(1<<31, 1<<31); err != nil || v != 1<<62 {
		t.Errorf("Mul = %d, %v", v, err)
	}
	if _, err := Int64(1 << 63); !errors.Is(err, ErrOverflow) {
		t.Error("Int64(2^63) is not refused")
	}
	if DivCeil(math.MaxInt64, 2) != 1<<62 {
		t.Error("DivCeil overflows")
	}
}

func TestReadRangeBounds(t *testing.T) {
	r := bytes.NewReader(make([]byte, 100))
	for _, c := range []struct {
		name          string
		off, n, limit int64
		want          error
	}{
		{"whole", 0, 100, 100, nil},
		{"above limit", 0, 100, 99, ErrLimit},
		{"one past the end", 1, 100, 100, ErrPastEnd},
		{"offset overflow", math.MaxInt64, 100, 100, ErrOverflow},
		{"negative length", 0, -1, 100, ErrLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := ReadRange(r, 100, c.off, c.n, c.limit); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestIsZero(t *testing.T) {
	for n := range 100 {
		p := make([]byte, n)
		if !IsZero(p) {
			t.Fatalf("%d zeros are not zero", n)
		}
		for i := range p {
			p[i] = 1
			if IsZero(p) {
				t.Fatalf("byte %d of %d is not seen", i, n)
			}
			p[i] = 0
		}
	}
}
