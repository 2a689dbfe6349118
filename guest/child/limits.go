package child

import "time"

// Limits bound one inspection.
type Limits struct {
	Memory   int64         `json:"memory"` // address space of the child, bytes
	CPU      time.Duration `json:"cpu"`    // processor time of one child, whole seconds
	Wall     time.Duration `json:"wall"`   // on the clock, for all volumes of a disk
	Output   int64         `json:"output"` // bytes that children may answer in all
	Served   int64         `json:"served"` // guest bytes that children may read in all
	Requests int64         `json:"requests"`
}

// DefaultLimits returns the limits that fit every honest disk. A program of Go maps
// about 1.3 GiB of addresses before it does anything, so that 2 GiB leave some 700 MiB;
// what is read of a system of the usual size is less than 10 MiB.
func DefaultLimits() Limits {
	return Limits{
		Memory: 2 << 30, CPU: 10 * time.Second, Wall: 20 * time.Second,
		Output: 1 << 20, Served: 256 << 20, Requests: 200_000,
	}
}

// maxVolumes is how many volumes of a disk are read.
const maxVolumes = 16

// maxAnswer is the largest range that the parent answers in one piece, bytes.
const maxAnswer = 1 << 20
