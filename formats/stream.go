package formats

import "context"

// A Streamer is a Disk whose bytes are stored so that they can only be read from
// the begin on, such as one in a compressed archive. Its ReadAt works, and begins
// again when it has to go back. Who wants all bytes takes Stream.
type Streamer interface {
	Disk
	// Stream gives deliver the guest's bytes in order: off ascends, the pieces do
	// not overlap, none is empty and none reaches past Size. What is left out,
	// before, between and behind the pieces, is zeros; pieces may hold zeros too.
	// p is valid until deliver returns and must not be changed.
	//
	// The whole file is read, and what it says of its own integrity (lengths,
	// checksums) is checked: without an error, what was delivered is what was
	// stored. Stream ends with the first error, deliver's own included. Each call
	// is a reading of its own and does not disturb others.
	Stream(ctx context.Context, deliver func(off int64, p []byte) error) error
}

// A SumChecker is a Disk in a container that holds digests of what is in it, such
// as an OVA's manifest. CheckSums reads the container and returns the first that
// is wrong.
type SumChecker interface {
	CheckSums(ctx context.Context) error
}
