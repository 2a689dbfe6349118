package archive

import (
	"encoding/binary"
	"fmt"
	"io"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// Lengths of zip's records without their variable parts (APPNOTE 4.3.7, 4.3.12,
// 4.3.14 to 4.3.16).
const (
	localBytes     = 30
	centralBytes   = 46
	end64Bytes     = 56
	locator64Bytes = 20
	endBytes       = 22
	maxRecord      = 3 * 65535 // name, extra and comment of a record
)

// Values of fields that stand elsewhere, in ZIP64's records.
const (
	in64x16 = 0xffff
	in64x32 = 0xffffffff
)

// Compression methods (4.4.5).
const (
	MethodStored   = 0
	MethodDeflated = 8
)

// Bits of the general purpose flag that are understood (4.4.4): options of deflate,
// lengths behind the data, name in UTF-8.
const (
	flagEncrypted  = 1<<0 | 1<<6 | 1<<13
	flagDescriptor = 1 << 3
	flagKnown      = 1<<1 | 1<<2 | flagDescriptor | 1<<11
)

// A ZipMember is the one member of a zip file. Member.Size counts its bytes in the
// file, which are compressed if Method is MethodDeflated.
type ZipMember struct {
	Member
	Method       int
	CRC32        uint32 // of the contents
	Uncompressed int64  // bytes of the contents
}

// Zip finds the member of a zip file that has one. Every byte of the file belongs
// to the member or describes it: local header, data, central directory, end.
func Zip(r io.ReaderAt, size int64, lim Limits) (ZipMember, error) {
	z := &zipFile{r: r, size: size}
	dir, err := z.directory()
	if err != nil {
		return ZipMember{}, err
	}
	c, err := z.central(dir)
	if err != nil {
		return ZipMember{}, err
	}
	if err := z.check(c, lim); err != nil {
		return ZipMember{}, err
	}
	return z.local(c, dir.off)
}

// A zipFile is a file that is taken for a zip file.
type zipFile struct {
	r    io.ReaderAt
	size int64
}

// A directory is where the central directory lies.
type directory struct{ off, size int64 }

// A record is what the central directory says of a member.
type record struct {
	version, flags, method uint16
	crc                    uint32
	compressed, size       uint64
	name                   string
	extra                  []byte
	disk                   uint16
	attributes             uint32
	local                  uint64
}

func zipPlace(structure, field string, off int64) formats.Place {
	return formats.Place{Format: "zip", Structure: structure, Field: field, Off: off}
}

// broken is the error of a record that is not as it should be.
func broken(structure, field string, off int64, value any, limit string) error {
	return zipPlace(structure, field, off).Refuse(errcode.ZipInvalid, value, limit, "zip file: the %s is not as it should be: %s", structure, field)
}

// read reads a record of n bytes, which begins with a signature.
func (z *zipFile) read(structure string, off, n int64, signature string) ([]byte, error) {
	if off < 0 {
		return nil, broken(structure, "", 0, z.size, "")
	}
	p, err := binio.ReadRange(z.r, z.size, off, n, maxRecord+centralBytes)
	if err != nil {
		return nil, zipPlace(structure, "", off).Unread(err)
	}
	if signature != "" && string(p[:4]) != signature {
		return nil, broken(structure, "signature", off, fmt.Sprintf("%x", p[:4]), fmt.Sprintf("%x", signature))
	}
	return p, nil
}

// directory reads the record at the end (4.3.16), which has no comment: the bytes
// of one are nobody's.
func (z *zipFile) directory() (directory, error) {
	const structure = "end of central directory record"
	at := z.size - endBytes
	p, err := z.read(structure, at, endBytes, "PK\x05\x06")
	if err != nil {
		return directory{}, err
	}
	le := binary.LittleEndian
	disks, dirDisk, here, all := le.Uint16(p[4:]), le.Uint16(p[6:]), le.Uint16(p[8:]), le.Uint16(p[10:])
	size, off, comment := uint64(le.Uint32(p[12:])), uint64(le.Uint32(p[16:])), le.Uint16(p[20:])
	if comment != 0 {
		return directory{}, broken(structure, "comment length", at, comment, "0")
	}
	wide := here == in64x16 || all == in64x16 || size == in64x32 || off == in64x32 || disks == in64x16 || dirDisk == in64x16
	// Programs that write to a pipe add ZIP64's records to small files too.
	if l, err := z.read("zip64 locator", at-locator64Bytes, 4, ""); wide || err == nil && string(l) == "PK\x06\x07" {
		d, err := z.directory64(at - locator64Bytes)
		if err == nil && (!same16(disks, 0) || !same16(dirDisk, 0) || !same16(here, 1) || !same16(all, 1) ||
			!same32(size, d.size) || !same32(off, d.off)) {
			err = broken(structure, "values", at, off, "what the zip64 end record says")
		}
		return d, err
	}
	if disks != 0 || dirDisk != 0 || here != 1 || all != 1 {
		return directory{}, broken(structure, "total number of entries", at, all, "1")
	}
	return z.within(size, off, at)
}

// same16 and same32 report whether a field says the same as ZIP64's, or that it
// stands there.
func same16(v, want uint16) bool { return v == in64x16 || v == want }

func same32(v uint64, want int64) bool { return v == in64x32 || v == uint64(want) }

// directory64 reads ZIP64's records (4.3.14, 4.3.15), which stand in front of the
// plain one.
func (z *zipFile) directory64(at int64) (directory, error) {
	l, err := z.read("zip64 locator", at, locator64Bytes, "PK\x06\x07")
	if err != nil {
		return directory{}, err
	}
	le := binary.LittleEndian
	at -= end64Bytes
	if le.Uint32(l[4:]) != 0 || at < 0 || le.Uint64(l[8:]) != uint64(at) || le.Uint32(l[16:]) > 1 {
		return directory{}, broken("zip64 locator", "offset", at, le.Uint64(l[8:]), fmt.Sprint(at))
	}
	p, err := z.read("zip64 end record", at, end64Bytes, "PK\x06\x06")
	if err != nil {
		return directory{}, err
	}
	if le.Uint64(p[4:]) != end64Bytes-12 || le.Uint64(p[16:]) != 0 || le.Uint64(p[24:]) != 1 || le.Uint64(p[32:]) != 1 {
		return directory{}, broken("zip64 end record", "total number of entries", at, le.Uint64(p[32:]), "1")
	}
	return z.within(le.Uint64(p[40:]), le.Uint64(p[48:]), at)
}

// within checks that the central directory ends where the record at end begins.
func (z *zipFile) within(size, off uint64, end int64) (directory, error) {
	if size < centralBytes || size > maxRecord+centralBytes || off != uint64(end)-size || size > uint64(end) {
		return directory{}, broken("end of central directory record", "offset", end, off, "in front of the record")
	}
	return directory{off: int64(off), size: int64(size)}, nil
}

// central reads the one record of the central directory (4.3.12).
func (z *zipFile) central(d directory) (record, error) {
	p, err := z.read("central directory", d.off, d.size, "PK\x01\x02")
	if err != nil {
		return record{}, err
	}
	le := binary.LittleEndian
	name, extra, comment := int(le.Uint16(p[28:])), int(le.Uint16(p[30:])), int(le.Uint16(p[32:]))
	if centralBytes+name+extra != len(p) || comment != 0 {
		return record{}, broken("central directory", "lengths", d.off, len(p), "one record without comment")
	}
	c := record{
		version: le.Uint16(p[4:]), flags: le.Uint16(p[8:]), method: le.Uint16(p[10:]), crc: le.Uint32(p[16:]),
		compressed: uint64(le.Uint32(p[20:])), size: uint64(le.Uint32(p[24:])), disk: le.Uint16(p[34:]),
		attributes: le.Uint32(p[38:]), local: uint64(le.Uint32(p[42:])),
		name: string(p[centralBytes : centralBytes+name]), extra: p[centralBytes+name:],
	}
	if !wide(c.extra, &c.size, &c.compressed, &c.local) {
		return record{}, broken("central directory", "extra field", d.off, nil, "")
	}
	return c, nil
}

// wide replaces the values that stand in the extra field of ZIP64 (4.5.3), in that
// order. It reports whether the extra field is sound.
func wide(extra []byte, values ...*uint64) bool {
	le := binary.LittleEndian
	seen := false
	for len(extra) > 0 {
		if len(extra) < 4 || int(le.Uint16(extra[2:])) > len(extra)-4 {
			return false
		}
		id, body := le.Uint16(extra), extra[4:4+int(le.Uint16(extra[2:]))]
		extra = extra[4+len(body):]
		if id != 1 {
			continue
		}
		if seen {
			return false
		}
		seen = true
		for _, v := range values {
			if *v != in64x32 {
				continue
			}
			if len(body) < 8 {
				return false
			}
			*v, body = le.Uint64(body), body[8:]
		}
	}
	return true
}

// check refuses what is not a plain file.
func (z *zipFile) check(c record, lim Limits) error {
	where := zipPlace("central directory", "general purpose bit flag", -1)
	// Info-ZIP marks what came through a pipe as one.
	const unix, kind, pipe, regular = 3, 0xf000, 0x1000, 0x8000
	mode := c.attributes >> 16
	switch {
	case c.flags&flagEncrypted != 0:
		return where.Refuse(errcode.CompressionMethod, c.flags, "no encryption", "the zip file is encrypted")
	case c.flags&^flagKnown != 0:
		return where.Refuse(errcode.CompressionMethod, c.flags, "", "the zip file has an unknown flag")
	case c.method != MethodStored && c.method != MethodDeflated:
		where.Field = "compression method"
		return where.Refuse(errcode.CompressionMethod, c.method, "stored, deflated", "the zip file is compressed in an unknown way")
	case c.version>>8 == unix && mode&kind != 0 && mode&kind != regular && mode&kind != pipe:
		where.Field = "external file attributes"
		return where.Refuse(errcode.OVALink, fmt.Sprintf("%#o", mode), "a regular file", "member %q is not a regular file", Clip(c.name))
	case c.disk != 0 || c.local != 0:
		return broken("central directory", "offset of local header", -1, c.local, "0")
	case c.method == MethodStored && c.size != c.compressed:
		return broken("central directory", "uncompressed size", -1, c.size, fmt.Sprint(c.compressed))
	case c.size > maxSize || c.compressed > uint64(z.size):
		return broken("central directory", "compressed size", -1, c.compressed, fmt.Sprint(z.size))
	}
	if lim.Members < 1 {
		return where.Refuse(errcode.OVATooManyMembers, 1, "0", "the archive has a member")
	}
	return CheckName(c.name, lim, where)
}

// maxSize is larger than any disk and safe to add to.
const maxSize = 1 << 62

// local reads the local header (4.3.7), which has to say what the central directory
// says, and the data descriptor (4.3.9) between the data and the directory at end.
func (z *zipFile) local(c record, end int64) (ZipMember, error) {
	const structure = "local file header"
	p, err := z.read(structure, 0, localBytes, "PK\x03\x04")
	if err != nil {
		return ZipMember{}, err
	}
	le := binary.LittleEndian
	name, extra := int64(le.Uint16(p[26:])), int64(le.Uint16(p[28:]))
	variable, err := z.read(structure, localBytes, name+extra, "")
	if err != nil {
		return ZipMember{}, err
	}
	crc, compressed, size := le.Uint32(p[14:]), uint64(le.Uint32(p[18:])), uint64(le.Uint32(p[22:]))
	if !wide(variable[name:], &size, &compressed) {
		return ZipMember{}, broken(structure, "extra field", 0, nil, "")
	}
	later := c.flags&flagDescriptor != 0
	// What stands in the descriptor may be left out here, each for itself.
	agree := func(v, want uint64) bool { return v == want || later && v == 0 }
	switch {
	case le.Uint16(p[6:]) != c.flags, le.Uint16(p[8:]) != c.method, string(variable[:name]) != c.name:
		return ZipMember{}, broken(structure, "flags, method or name", 0, Clip(string(variable[:name])), "what the central directory says")
	case !agree(uint64(crc), uint64(c.crc)) || !agree(compressed, c.compressed) || !agree(size, c.size):
		return ZipMember{}, broken(structure, "sizes", 0, compressed, "what the central directory says")
	}
	off := localBytes + name + extra
	gap := end - off - int64(c.compressed)
	if err := z.descriptor(c, off+int64(c.compressed), gap, later); err != nil {
		return ZipMember{}, err
	}
	return ZipMember{Member: Member{Name: c.name, Off: off, Size: int64(c.compressed), r: z.r},
		Method: int(c.method), CRC32: c.crc, Uncompressed: int64(c.size)}, nil
}

// descriptor checks the bytes between the data and the central directory.
func (z *zipFile) descriptor(c record, at, n int64, later bool) error {
	const structure = "data descriptor"
	if n < 0 {
		return broken("central directory", "compressed size", at, c.compressed, "")
	}
	if !later {
		if n > 0 {
			return zipPlace(structure, "", at).Refuse(errcode.TrailingData, n, "0", "there are %d bytes between member and central directory", n)
		}
		return nil
	}
	if n != 12 && n != 16 && n != 20 && n != 24 {
		return broken(structure, "length", at, n, "12 to 24")
	}
	p, err := z.read(structure, at, n, "")
	if err != nil {
		return err
	}
	if n%8 == 0 { // a signature is usual and not demanded
		if string(p[:4]) != "PK\x07\x08" {
			return broken(structure, "signature", at, fmt.Sprintf("%x", p[:4]), "")
		}
		p = p[4:]
	}
	le := binary.LittleEndian
	crc, compressed, size := le.Uint32(p), uint64(le.Uint32(p[4:])), uint64(le.Uint32(p[8:]))
	if len(p) == 20 {
		compressed, size = le.Uint64(p[4:]), le.Uint64(p[12:])
	}
	if crc != c.crc || compressed != c.compressed || size != c.size {
		return broken(structure, "sizes", at, compressed, "what the central directory says")
	}
	return nil
}
