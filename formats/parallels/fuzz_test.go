package parallels

import (
	"bytes"
	"encoding/binary"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/imgtest"
)

// seed is a disk of four clusters of 4 KiB, of which two are stored in
// disorder.
func seed(k recipe) []byte {
	k.tracks = 8
	data, entries := int64(4096), [...]uint32{2, 0, 0, 1}
	if k.v1 {
		data, entries = 512, [...]uint32{9, 0, 0, 1}
	}
	b := make([]byte, data+2*4096)
	putHeader(b, k, 3*4096+512, data, 4)
	for i, e := range entries {
		binary.LittleEndian.PutUint32(b[headerBytes+4*i:], e)
	}
	copy(b[data:], bytes.Repeat([]byte("d"), 4096))
	copy(b[data+4096:], bytes.Repeat([]byte("a"), 4096))
	return b
}

func TestSeedIsGood(t *testing.T) {
	for _, k := range []recipe{{}, {v1: true}, {v1: true, noDataOff: true}} {
		b := seed(k)
		formattest.Refused(t, Format{}, b, nil)
		d, err := Format{}.Open(bytes.NewReader(b), int64(len(b)), formats.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, d.Size())
		imgtest.ReadFull(t, d, got, 0)
		if got[0] != 'a' || got[4095] != 'a' || got[4096] != 0 || got[8192] != 0 || got[12288] != 'd' {
			t.Errorf("%+v: clusters begin with %q %q %q %q", k, got[0], got[4096], got[8192], got[12288])
		}
	}
}

func FuzzOpen(f *testing.F) {
	formattest.Seeds(f)
	f.Add(seed(recipe{}))
	f.Add(seed(recipe{v1: true}))
	f.Add(seed(recipe{v1: true, noDataOff: true}))
	f.Add(seed(recipe{inUse: inUseOpen, flags: flagEmpty}))
	f.Add(set64(56, 16)(entry(0, 0)(seed(recipe{}))))
	f.Add(entry(0, 1)(seed(recipe{})))
	f.Add(seed(recipe{})[:100])
	f.Fuzz(func(t *testing.T, data []byte) {
		formattest.Fuzz(t, Format{}, data)
	})
}
