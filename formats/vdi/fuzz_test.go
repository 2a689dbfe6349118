package vdi

import (
	"bytes"
	"encoding/binary"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/imgtest"
)

// seed is a disk of four blocks of 4 KiB, of which two are stored in disorder,
// one is zeros and one a hole.
func seed(extra uint32) []byte {
	b := make([]byte, 1024+2*(4096+int(extra)))
	putHeader(b, recipe{block: 4096, extra: int64(extra)}, 3*4096+512, 1024, 4, 2)
	for i, e := range []uint32{1, entryHole, entryZero, 0} {
		binary.LittleEndian.PutUint32(b[headBytes+4*i:], e)
	}
	first := 1024 + int(extra)
	copy(b[first:], bytes.Repeat([]byte("d"), 4096))
	copy(b[first+4096+int(extra):], bytes.Repeat([]byte("a"), 4096))
	return b
}

func TestSeedIsGood(t *testing.T) {
	for _, extra := range []uint32{0, 512} {
		formattest.Refused(t, Format{}, seed(extra), nil)
		d, err := Format{}.Open(bytes.NewReader(seed(extra)), int64(len(seed(extra))), formats.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, d.Size())
		imgtest.ReadFull(t, d, got, 0)
		if got[0] != 'a' || got[4095] != 'a' || got[4096] != 0 || got[8192] != 0 || got[12288] != 'd' {
			t.Errorf("extra %d: blocks begin with %q %q %q %q", extra, got[0], got[4096], got[8192], got[12288])
		}
	}
}

func FuzzOpen(f *testing.F) {
	formattest.Seeds(f)
	f.Add(seed(0))
	f.Add(seed(512))
	f.Add(set32(76, typeStatic)(set32(72, minHeaderBytes)(seed(0))))
	f.Add(set64(368, 3*4096+99)(seed(0)))
	f.Add(set32(headBytes, 0)(seed(0)))
	f.Add(seed(0)[:600])
	f.Fuzz(func(t *testing.T, data []byte) {
		formattest.Fuzz(t, Format{}, data)
	})
}
