//go:build !race

package imgtest

// Race reports whether the race detector is on. It allocates for itself, and
// makes sync.Pool forget, so that tests of allocations mean nothing under it.
const Race = false
