//go:build !amd64

package sha256pair

const fast = false

func blocks(a, b *words, pa, pb *byte, n int) { panic("there are no instructions for SHA-256 here") }
