package pipeline

import (
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strings"

	"ingest/internal/errcode"
)

// A digester takes several digests of the same bytes. Its state can be kept, so
// that an attempt goes on where another one stopped.
type digester struct{ lanes []lane }

// A lane is one hash. Its name is the algorithm, and for a signature that hashes a
// salt first, the salt.
type lane struct {
	name string
	hash hash.Hash
}

// add adds a lane, unless there is one of that name.
func (d *digester) add(name string, h hash.Hash) {
	for _, l := range d.lanes {
		if l.name == name {
			return
		}
	}
	d.lanes = append(d.lanes, lane{name, h})
}

// Write hashes the bytes. It never fails.
func (d *digester) Write(p []byte) (int, error) {
	for _, l := range d.lanes {
		l.hash.Write(p)
	}
	return len(p), nil
}

// names is the list of lanes, the first one first.
func (d *digester) names() string {
	var out []string
	for _, l := range d.lanes {
		out = append(out, l.name)
	}
	return strings.Join(out, ",")
}

// text is the first lane's digest, "algo:hex".
func (d *digester) text() string { return d.lanes[0].name + ":" + d.sum(d.lanes[0].name) }

// sum is the digest of an algorithm in hex, "" if it is not taken.
func (d *digester) sum(algo string) string {
	for _, l := range d.lanes {
		if l.name == algo {
			return hex.EncodeToString(l.hash.Sum(nil))
		}
	}
	return ""
}

// clone returns a copy of a lane's hash, which may be written to.
func (d *digester) clone(name string) (hash.Hash, error) {
	for _, l := range d.lanes {
		if c, ok := l.hash.(hash.Cloner); ok && l.name == name {
			return c.Clone()
		}
	}
	return nil, errcode.New(errcode.Internal, "the hash %q of a signature was not taken", name)
}

// MarshalBinary returns the state: that of the only lane as it is, of several each
// with its length before it.
func (d *digester) MarshalBinary() ([]byte, error) {
	var out []byte
	for _, l := range d.lanes {
		m, ok := l.hash.(encoding.BinaryMarshaler)
		if !ok {
			return nil, errors.New("the hash " + l.name + " does not tell its state")
		}
		state, err := m.MarshalBinary()
		if err != nil || len(d.lanes) == 1 {
			return state, err
		}
		out = binary.BigEndian.AppendUint16(out, uint16(len(state)))
		out = append(out, state...)
	}
	return out, nil
}

// UnmarshalBinary takes up a state of the same lanes.
func (d *digester) UnmarshalBinary(state []byte) error {
	for _, l := range d.lanes {
		one := state
		if len(d.lanes) > 1 {
			if len(state) < 2 || len(state)-2 < int(binary.BigEndian.Uint16(state)) {
				return errors.New("the state is cut short")
			}
			n := 2 + int(binary.BigEndian.Uint16(state))
			one, state = state[2:n], state[n:]
		}
		u, ok := l.hash.(encoding.BinaryUnmarshaler)
		if !ok {
			return errors.New("the hash " + l.name + " takes up no state")
		}
		if err := u.UnmarshalBinary(one); err != nil {
			return err
		}
	}
	return nil
}

// fresh returns a copy of a digester that has not been written to.
func (d *digester) fresh() (*digester, error) {
	out := &digester{}
	for _, l := range d.lanes {
		h, err := d.clone(l.name)
		if err != nil {
			return nil, err
		}
		out.lanes = append(out.lanes, lane{l.name, h})
	}
	return out, nil
}

// restored sets fresh lanes to a kept state. It reports false, and the lanes are
// then worth nothing, if the state is not theirs.
func (d *digester) restored(state []byte) bool {
	return len(state) > 0 && d.UnmarshalBinary(state) == nil
}

var zeros [64 << 10]byte

// hashZeros feeds n zero bytes.
func hashZeros(w io.Writer, n int64) {
	for n > 0 {
		k := min(n, int64(len(zeros)))
		w.Write(zeros[:k])
		n -= k
	}
}
