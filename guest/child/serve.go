package child

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"ingest/guest/tree"
	"ingest/internal/binio"
)

// serve answers a child until it has sent all listings or is gone. refusal says why it
// must be killed, "" if it need not. The frames are as hostile as the disk: each is
// bounded before anything is allocated for it.
func (s *session) serve(conn io.ReadWriter, volumes []tree.Volume) (got []tree.Listing, refusal string) {
	if err := send(conn, order{Size: s.size, Volumes: volumes, Limits: s.Limits}); err != nil {
		return nil, ""
	}
	var frame [frameLen]byte
	buf := make([]byte, 0, 64<<10)
	for len(got) < len(volumes) {
		if _, err := io.ReadFull(conn, frame[:]); err != nil {
			return got, ""
		}
		n := int64(binary.LittleEndian.Uint32(frame[4:]))
		switch frame[0] {
		case frameRead:
			if refusal = s.charge(n); refusal != "" {
				return got, refusal
			}
			off, err := binio.Int64(binary.LittleEndian.Uint64(frame[8:]))
			if err != nil || off > s.size-n {
				return got, "its reader failed: a read behind the disk's end"
			}
			if buf, err = s.read(conn, buf, off, n); err != nil {
				return got, ""
			}
		case frameList:
			l, refusal := s.listing(conn, n)
			if refusal != "" {
				return got, refusal
			}
			got = append(got, l)
		default:
			return got, "its reader failed: an answer that makes no sense"
		}
	}
	return got, ""
}

// charge takes one read of n bytes from what is left.
func (s *session) charge(n int64) string {
	s.left.Requests--
	s.left.Served -= n
	switch {
	case n > maxAnswer:
		return fmt.Sprintf("its reader failed: a read of %d bytes", n)
	case s.left.Requests < 0:
		s.over = true
		return fmt.Sprintf("it took more than %d reads", s.Limits.Requests)
	case s.left.Served < 0:
		s.over = true
		return fmt.Sprintf("it took more than %d MiB of reading", s.Limits.Served>>20)
	}
	return ""
}

// read answers one read. The error is that of the socket; a disk that cannot be read
// is told to the child.
func (s *session) read(conn io.Writer, buf []byte, off, n int64) ([]byte, error) {
	buf = binary.LittleEndian.AppendUint32(buf[:0], uint32(n))
	buf = append(buf, make([]byte, n)...)
	if err := binio.ReadFull(s.disk, buf[4:], off); err != nil {
		buf = binary.LittleEndian.AppendUint32(buf[:0], failed)
	}
	_, err := conn.Write(buf)
	return buf, err
}

// listing takes one listing of n bytes.
func (s *session) listing(conn io.Reader, n int64) (l tree.Listing, refusal string) {
	if s.left.Output -= n; n > listingRoom || s.left.Output < 0 {
		s.over = true
		return l, "its reader failed: it has too much to say"
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(conn, body); err != nil {
		return l, "its reader failed: its answer broke off"
	}
	if err := json.Unmarshal(body, &l); err != nil {
		return tree.Listing{}, "its reader failed: an answer that makes no sense"
	}
	l.Clean()
	return l, ""
}
