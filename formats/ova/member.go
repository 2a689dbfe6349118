package ova

import (
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"

	"ingest/formats"
)

// A member is a sink for one disk's file: it places the file within the output and
// takes its digest on the way.
type member struct {
	dst   formats.Sink
	base  int64     // host offset of the file's first byte
	pos   int64     // bytes of the file so far
	sum   hash.Hash // SHA-256 of them
	codec string    // of the checkpoints; "" offers none
	begun bool      // something was written since the member was made
	err   error     // what makes the disk's checkpoints useless
}

func newMember(dst formats.Sink, base int64) *member {
	return &member{dst: dst, base: base, sum: sha256.New()}
}

// WriteAt takes the next bytes of the file. An encoder that does not go on at the
// checkpoint that was restored begins at 0 again.
func (m *member) WriteAt(p []byte, off int64) (int, error) {
	if off == 0 && !m.begun {
		m.pos = 0
		m.sum.Reset()
	}
	if off != m.pos {
		return 0, fmt.Errorf("ova: the disk's encoder writes at %d behind %d bytes", off, m.pos)
	}
	m.begun = true
	n, err := m.dst.WriteAt(p, m.base+off)
	m.sum.Write(p[:n])
	m.pos += int64(n)
	return n, err
}

// Checkpoint offers the disk's checkpoint with the digest so far.
func (m *member) Checkpoint(ctx context.Context, state func() formats.Checkpoint) error {
	if m.codec == "" {
		return nil
	}
	err := m.dst.Checkpoint(ctx, func() formats.Checkpoint { return m.checkpoint(state()) })
	if m.err != nil {
		return m.err
	}
	return err
}

// A checkpoint's State holds, in big-endian words of 8 bytes: the version of this
// list, the host offset of the disk's file, the digest's length; then the digest,
// the disk encoder's own state, and a CRC-32 of it all.
const (
	stateVersion = 1
	stateWords   = 3
	stateSum     = 4
)

// checkpoint wraps the disk's checkpoint.
func (m *member) checkpoint(disk formats.Checkpoint) formats.Checkpoint {
	digest, err := m.sum.(encoding.BinaryMarshaler).MarshalBinary()
	if disk.HostOff != m.pos && err == nil {
		err = fmt.Errorf("ova: the disk's checkpoint is at %d of %d bytes", disk.HostOff, m.pos)
	}
	if err != nil {
		m.err = err
		return formats.Checkpoint{}
	}
	p := make([]byte, 0, 8*stateWords+len(digest)+len(disk.State)+stateSum)
	for _, w := range []int64{stateVersion, m.base, int64(len(digest))} {
		p = binary.BigEndian.AppendUint64(p, uint64(w))
	}
	p = append(append(p, digest...), disk.State...)
	p = binary.BigEndian.AppendUint32(p, crc32.ChecksumIEEE(p))
	return formats.Checkpoint{Codec: m.codec, Off: disk.Off, HostOff: m.base + m.pos, State: p}
}

// restore sets a fresh member up from a checkpoint and returns that of the disk's
// encoder; the zero one, and the member as it was, if it does not fit.
func (m *member) restore(from formats.Checkpoint, codec string) formats.Checkpoint {
	n := len(from.State) - stateSum
	if from.Codec != m.codec || from.Off <= 0 || from.HostOff < m.base || n < 8*stateWords ||
		crc32.ChecksumIEEE(from.State[:n]) != binary.BigEndian.Uint32(from.State[n:]) {
		return formats.Checkpoint{}
	}
	word := func(i int) uint64 { return binary.BigEndian.Uint64(from.State[8*i:]) }
	rest := from.State[8*stateWords : n]
	if word(0) != stateVersion || word(1) != uint64(m.base) || word(2) > uint64(len(rest)) {
		return formats.Checkpoint{}
	}
	digest := sha256.New()
	if err := digest.(encoding.BinaryUnmarshaler).UnmarshalBinary(rest[:word(2)]); err != nil {
		return formats.Checkpoint{}
	}
	m.sum, m.pos = digest, from.HostOff-m.base
	return formats.Checkpoint{Codec: codec, Off: from.Off, HostOff: m.pos, State: rest[word(2):]}
}

// nowhere takes what is written to learn how much it is.
type nowhere struct{}

func (nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

func (nowhere) Checkpoint(context.Context, func() formats.Checkpoint) error { return nil }
