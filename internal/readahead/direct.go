package readahead

import (
	"context"
	"fmt"
	"io"
)

// Direct returns a reader of size bytes that fetches each range when it is read,
// and keeps nothing.
func Direct(ctx context.Context, fetch Fetch, size int64) io.ReaderAt {
	return direct{ctx, fetch, size}
}

type direct struct {
	ctx   context.Context
	fetch Fetch
	size  int64
}

// ReadAt reads len(p) bytes at off, as io.ReaderAt has it.
func (d direct) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case off < 0:
		return 0, fmt.Errorf("read at negative offset %d", off)
	case off >= d.size:
		return 0, io.EOF
	}
	n := min(int64(len(p)), d.size-off)
	if n > 0 {
		if err := d.fetch(d.ctx, p[:n], off); err != nil {
			return 0, err
		}
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}
