package s3

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc64"
	"sync"
)

// The checksum CRC-64/NVME, which the standard library computes at a third of the
// speed: its tables for other polynomials than its own are made anew for each write,
// and it waits for one lookup before the next. Here four stretches of the bytes are
// taken side by side, and put together.

// nvme is the polynomial, its bits reversed (NVM Express, "64b CRC").
const nvme = 0x9a6c9329ac4bc9b5

// crcBytes is the length of a stretch.
const crcBytes = 4 << 10

// crcTable advances a state: by eight bytes in slices, or by a stretch of zeros.
type crcTable [8][256]uint64

// crcTables are made when the first part is sent.
var crcTables = sync.OnceValue(func() *struct{ step, stretch crcTable } {
	t := &struct{ step, stretch crcTable }{}
	one := crc64.MakeTable(nvme)
	t.step[0] = *one
	for i := range 256 {
		c := one[i]
		for j := 1; j < 8; j++ {
			c = one[byte(c)] ^ (c >> 8)
			t.step[j][i] = c
		}
	}
	// A state is the sum of its bits, and so is what becomes of it.
	var bits [64]uint64
	for i := range bits {
		c := uint64(1) << i
		for range crcBytes {
			c = one[byte(c)] ^ (c >> 8)
		}
		bits[i] = c
	}
	for k := range t.stretch {
		for b := range 256 {
			for i := range 8 {
				if b>>i&1 == 1 {
					t.stretch[k][b] ^= bits[8*k+i]
				}
			}
		}
	}
	return t
})

// eight advances a state by the eight bytes that were added to it.
func (t *crcTable) eight(c uint64) uint64 {
	return t[7][byte(c)] ^ t[6][byte(c>>8)] ^ t[5][byte(c>>16)] ^ t[4][byte(c>>24)] ^
		t[3][byte(c>>32)] ^ t[2][byte(c>>40)] ^ t[1][byte(c>>48)] ^ t[0][c>>56]
}

// zeros advances a state by a stretch of zeros.
func (t *crcTable) zeros(c uint64) uint64 {
	return t[0][byte(c)] ^ t[1][byte(c>>8)] ^ t[2][byte(c>>16)] ^ t[3][byte(c>>24)] ^
		t[4][byte(c>>32)] ^ t[5][byte(c>>40)] ^ t[6][byte(c>>48)] ^ t[7][c>>56]
}

// crc64nvme returns the checksum of p.
func crc64nvme(p []byte) uint64 {
	t := crcTables()
	c := ^uint64(0)
	for len(p) >= 4*crcBytes {
		a, b, d, e := c, uint64(0), uint64(0), uint64(0)
		p0, p1, p2, p3 := p[:crcBytes], p[crcBytes:2*crcBytes], p[2*crcBytes:3*crcBytes], p[3*crcBytes:4*crcBytes]
		for i := 0; i <= crcBytes-8; i += 8 {
			a = t.step.eight(a ^ binary.LittleEndian.Uint64(p0[i:i+8]))
			b = t.step.eight(b ^ binary.LittleEndian.Uint64(p1[i:i+8]))
			d = t.step.eight(d ^ binary.LittleEndian.Uint64(p2[i:i+8]))
			e = t.step.eight(e ^ binary.LittleEndian.Uint64(p3[i:i+8]))
		}
		c = t.stretch.zeros(t.stretch.zeros(t.stretch.zeros(a)^b)^d) ^ e
		p = p[4*crcBytes:]
	}
	for len(p) >= 8 {
		c = t.step.eight(c ^ binary.LittleEndian.Uint64(p))
		p = p[8:]
	}
	for _, x := range p {
		c = t.step[0][byte(c)^x] ^ (c >> 8)
	}
	return ^c
}

// crc64Header is the checksum as requests have it.
func crc64Header(p []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, crc64nvme(p)))
}
