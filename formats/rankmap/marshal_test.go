package rankmap

import (
	"bytes"
	"testing"
)

// TestOneSetHasOneForm fills chunks at once and number by number.
func TestOneSetHasOneForm(t *testing.T) {
	const n = 3*chunkBits + 100
	whole, single := New(n), New(n)
	whole.SetRange(chunkBits, 2*chunkBits)
	whole.SetRange(2*chunkBits+5, 2*chunkBits+9)
	for i := int64(chunkBits); i < 2*chunkBits; i++ {
		single.SetRange(i, i+1)
	}
	for i := int64(2*chunkBits + 5); i < 2*chunkBits+9; i++ {
		single.SetRange(i, i+1)
	}
	a, b := whole.AppendBinary(nil, n), single.AppendBinary(nil, n)
	if !bytes.Equal(a, b) {
		t.Fatalf("%d and %d bytes of one set differ", len(a), len(b))
	}
	if want := 4 + chunkBytes; len(a) != want {
		t.Errorf("%d bytes for an empty, a full, a mixed and an empty chunk, want %d", len(a), want)
	}
	back := New(n)
	if !back.SetBinary(a, n) {
		t.Fatal("what was written is not taken")
	}
	back.Seal()
	whole.Seal()
	if back.Len() != whole.Len() || back.Len() != chunkBits+4 || back.Pick(chunkBits) != 2*chunkBits+5 {
		t.Errorf("%d members came back, want %d", back.Len(), whole.Len())
	}
}

// TestSetBinaryRefuses holds input that is not exactly a set.
func TestSetBinaryRefuses(t *testing.T) {
	m := New(2 * chunkBits)
	m.SetRange(7, 9)
	good := m.AppendBinary(nil, 2*chunkBits)
	for name, p := range map[string][]byte{
		"nothing": {}, "cut": good[:len(good)-1], "cut within a chunk": good[:100], "too long": append(good[:len(good):len(good)], 0),
		"unknown kind": append([]byte{9}, good[1:]...),
	} {
		if New(2*chunkBits).SetBinary(p, 2*chunkBits) {
			t.Errorf("%s is taken", name)
		}
	}
	if New(10).SetBinary(good, 2*chunkBits) {
		t.Error("more than the map holds is taken")
	}
}
