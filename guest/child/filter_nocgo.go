//go:build !cgo

package child

// withC reports whether threads are those of the C library, as under the race detector.
const withC = false
