package child

import (
	"fmt"
	"io"
	"os"

	"ingest/guest/tree"
)

// socket is the descriptor that the child inherits behind the standard ones.
const socket = 3

// Main is the child: it does what its parent orders over the inherited socket, with
// list, and returns the exit code. What it says on standard error is the parent's.
func Main(list func(io.ReaderAt, tree.Volume) tree.Listing) int {
	conn := os.NewFile(socket, "parent")
	if conn == nil {
		return refuse("not started by ingest itself")
	}
	var o order
	if err := receive(conn, &o); err != nil {
		return refuse("not started by ingest itself: %v", err)
	}
	if err := confine(o.Limits); err != nil {
		return refuse("the limits cannot be set: %v", err)
	}
	r := &remote{conn: conn, size: o.Size}
	for _, v := range o.Volumes {
		if err := r.answer(list(r, v)); err != nil {
			return refuse("answer: %v", err)
		}
	}
	return 0
}

func refuse(format string, args ...any) int {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	return 1
}
