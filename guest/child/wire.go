package child

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"ingest/guest/tree"
)

// An order is what the parent sends first: its length as 32 bits, then JSON.
type order struct {
	Size    int64         `json:"size"` // virtual size, bytes
	Volumes []tree.Volume `json:"volumes"`
	Limits  Limits        `json:"limits"`
}

// A frame of the child is 16 bytes, little-endian: its kind, three bytes of zeros, a
// length as 32 bits, an offset as 64 bits. A frame of a listing is followed by its
// JSON; one of a read is answered with a length as 32 bits and that many bytes,
// failed if there are none to be had.
const (
	frameLen    = 16
	frameRead   = 'R'
	frameList   = 'L'
	failed      = ^uint32(0)
	orderLimit  = 64 << 10
	listingRoom = 256 << 10 // most bytes of one listing's JSON
)

func putFrame(p []byte, kind byte, n uint32, off uint64) {
	clear(p[:frameLen])
	p[0] = kind
	binary.LittleEndian.PutUint32(p[4:], n)
	binary.LittleEndian.PutUint64(p[8:], off)
}

// send writes a value as JSON with its length before it.
func send(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body...))
	return err
}

// receive is the counterpart of send.
func receive(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > orderLimit {
		return fmt.Errorf("an order of %d bytes", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

// A remote is the disk as the child sees it.
type remote struct {
	mu   sync.Mutex
	conn io.ReadWriter
	size int64
}

// ReadAt asks the parent.
func (r *remote) ReadAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for n < len(p) {
		if off < 0 || off >= r.size {
			return n, io.EOF
		}
		want := min(int64(len(p)-n), maxAnswer, r.size-off)
		if err := r.ask(p[n:n+int(want)], off); err != nil {
			return n, err
		}
		n += int(want)
		off += want
	}
	return n, nil
}

func (r *remote) ask(p []byte, off int64) error {
	var frame [frameLen]byte
	putFrame(frame[:], frameRead, uint32(len(p)), uint64(off))
	if _, err := r.conn.Write(frame[:]); err != nil {
		return err
	}
	var head [4]byte
	if _, err := io.ReadFull(r.conn, head[:]); err != nil {
		return err
	}
	if n := binary.LittleEndian.Uint32(head[:]); n != uint32(len(p)) {
		return fmt.Errorf("the disk cannot be read at %d", off)
	}
	_, err := io.ReadFull(r.conn, p)
	return err
}

// answer sends a listing to the parent.
func (r *remote) answer(l tree.Listing) error {
	body, err := json.Marshal(l)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]byte, frameLen, frameLen+len(body))
	putFrame(out, frameList, uint32(len(body)), 0)
	_, err = r.conn.Write(append(out, body...))
	return err
}
