// Package capacity says what this process may use of the machine that it runs on,
// which in a container is less than the machine has. Cores are the runtime's own
// business: GOMAXPROCS follows the container's limit.
package capacity

import (
	"math"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// Bounds of what one conversion holds at once, bytes.
const (
	// MostCopy is enough for every core of a large machine to have work while one
	// unit waits for its turn; more is not faster.
	MostCopy = 64 << 20
	// LeastCopy still keeps two cores busy.
	LeastCopy = 16 << 20
)

// heapShare is the part of the memory that the garbage collector lets the heap grow
// to before it works harder: the rest is stacks, code, and the kernel's.
const heapShare = 0.9

// Memory returns how many bytes this process may use: what its container allows,
// else what the machine has, 0 if neither can be told.
func Memory() int64 {
	n, err := memlimit.FromCgroup()
	if err != nil {
		if n, err = memlimit.FromSystem(); err != nil {
			return 0
		}
	}
	return int64(min(n, math.MaxInt64))
}

// KeepWithin has the garbage collector keep the heap within what the container
// allows, so that a burst of garbage is collected and the process not killed.
// Without a limit, and where the user has set GOMEMLIMIT, it does nothing.
func KeepWithin() {
	_, _ = memlimit.Set(memlimit.WithProvider(memlimit.FromCgroup), memlimit.WithRatio(heapShare))
}

// CopyMemory returns how much each of several conversions at once may hold of
// memory bytes: a quarter of it for all of them, in the bounds of MostCopy and
// LeastCopy. The rest is for what reads ahead, for the catalogue, and for the
// embedded Temporal.
func CopyMemory(memory int64, conversions int) int64 {
	if memory <= 0 {
		return MostCopy
	}
	return max(LeastCopy, min(memory/4/int64(max(1, conversions)), MostCopy))
}
