// Package sizeflag is a size on the command line of a tool.
package sizeflag

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// A Size is a number of bytes, written as 20GiB or 512MiB.
type Size int64

// String writes the size in the largest unit that divides it.
func (s *Size) String() string {
	if *s%gib == 0 {
		return fmt.Sprintf("%dGiB", *s/gib)
	}
	return fmt.Sprintf("%dMiB", *s/mib)
}

// Set reads a size of whole MiB.
func (s *Size) Set(v string) error {
	unit := int64(mib)
	n, ok := strings.CutSuffix(v, "MiB")
	if !ok {
		unit = gib
		n, ok = strings.CutSuffix(v, "GiB")
	}
	k, err := strconv.ParseInt(n, 10, 32)
	if !ok || err != nil || k <= 0 {
		return errors.New("is not of the form 20GiB or 512MiB")
	}
	*s = Size(k * unit)
	return nil
}
