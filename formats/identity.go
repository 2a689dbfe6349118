package formats

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
)

// An ID tells one disk from others. It has the form of a UUID of version 8
// (RFC 9562, section 5.8).
type ID [16]byte

// identityBytes is how much of a disk's begin and end makes its identity: the
// boot sector, both partition tables with their disk GUID, and the first
// superblocks with their UUIDs.
const identityBytes = 1 << 20

// Identify derives an ID from a disk and from what is made of it: the same disk
// and codec give the same ID, and disks that differ in size, in their first or in
// their last MiB, or in more, give different ones. Headers that demand a unique
// id get it from here, so that no clock and no chance makes two runs differ.
func Identify(d Disk, codec string, more ...[]byte) (ID, error) {
	h := sha256.New()
	fmt.Fprintf(h, "ingest-identity-v1\n%s\n%d\n", codec, d.Size())
	buf := make([]byte, identityBytes)
	for _, off := range []int64{0, max(0, d.Size()-identityBytes)} {
		p := buf[:min(identityBytes, d.Size()-off)]
		if _, err := ReadData(d, p, off); err != nil && err != io.EOF {
			return ID{}, fmt.Errorf("read guest data at %d: %w", off, err)
		}
		h.Write(p)
	}
	for _, m := range more {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(m)))
		h.Write(n[:])
		h.Write(m)
	}
	var id ID
	copy(id[:], h.Sum(nil))
	return id.version8(), nil
}

// version8 sets the bits that RFC 9562 fixes.
func (id ID) version8() ID {
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// Derive returns another ID for the same disk: headers have several.
func (id ID) Derive(what string) ID {
	var out ID
	sum := sha256.Sum256(append(id[:], what...))
	copy(out[:], sum[:])
	return out.version8()
}

// String returns the ID as a UUID is written.
func (id ID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// GUID returns the ID as Microsoft's formats store it: the first three fields
// little endian.
func (id ID) GUID() [16]byte {
	g := [16]byte(id)
	g[0], g[1], g[2], g[3] = id[3], id[2], id[1], id[0]
	g[4], g[5] = id[5], id[4]
	g[6], g[7] = id[7], id[6]
	return g
}

// ParseID reads an ID in the text form of a UUID, 8-4-4-4-12 hexadecimal digits.
// One that is all zeros means none in every format, and is not taken.
func ParseID(s string) (ID, bool) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, false
	}
	b, err := hex.DecodeString(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	copy(id[:], b)
	return id, err == nil && id != (ID{})
}
