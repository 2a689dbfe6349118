//go:build linux && !amd64 && !arm64 && !riscv64

package child

import "errors"

// filter refuses: which system calls a program needs differs between machines.
func filter() error {
	return errors.New("file systems are only read on amd64, arm64 and riscv64")
}
