package archive

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// blockBytes is tar's unit.
const blockBytes = 512

// maxTail bounds the zeros that end an archive: the largest record in use.
const maxTail = 1 << 20

// tarFormat is the format's name in evidence.
const tarFormat = "tar"

// Tar finds the members of a tar file, in their order. It reads the headers and the
// zeros at the end, not the members.
func Tar(r io.ReaderAt, size int64, lim Limits) ([]Member, error) {
	t := &tarFile{r: r, size: size, lim: lim, names: map[string]bool{}}
	for {
		done, err := t.next()
		if err != nil {
			return nil, err
		}
		if done {
			return t.members, nil
		}
	}
}

// A tarFile is read from one header to the next.
type tarFile struct {
	r       io.ReaderAt
	size    int64
	lim     Limits
	off     int64 // of the next header
	members []Member
	names   map[string]bool
	long    string // name from a header of GNU's
	pax     *paxRecords

	tree    bool // folders and symbolic links are members too
	link    string
	entries []Entry
}

// place is where something is wrong in the header at off.
func (t *tarFile) place(field string) formats.Place {
	return formats.Place{Format: tarFormat, Structure: fmt.Sprintf("header of member %d", len(t.members)+len(t.entries)+1), Field: field, Off: t.off}
}

// broken is the error of a header that is not as it should be.
func (t *tarFile) broken(field string, value any, limit string) error {
	return t.place(field).Refuse(errcode.OVANotTar, value, limit, "the tar file has no sound header at %d: %s", t.off, field)
}

// Bytes of a header ("ustar Header Block").
const (
	atSize   = 124
	atSum    = 148
	atType   = 156
	atLink   = 157
	atMagic  = 257
	atPrefix = 345
)

// next reads a header and what belongs to it. It reports whether it was the end.
func (t *tarFile) next() (bool, error) {
	if t.off == t.size && t.off > 0 {
		return false, t.place("").Refuse(errcode.Truncated, t.size, "blocks of zeros", "the tar file ends without its end")
	}
	h, err := binio.ReadRange(t.r, t.size, t.off, blockBytes, blockBytes)
	if err != nil {
		return false, t.place("").Unread(err)
	}
	if binio.IsZero(h) {
		return true, t.end()
	}
	if got, ok := sumOf(h); !ok {
		return false, t.broken("chksum", got, "")
	}
	n, err := number(h[atSize : atSize+12])
	if err != nil {
		return false, t.broken("size", Clip(string(h[atSize:atSize+12])), "")
	}
	switch kind := h[atType]; kind {
	case 'x', 'L':
		return false, t.extended(kind, n)
	case 'K':
		if t.tree {
			return false, t.extended(kind, n)
		}
	}
	if t.tree {
		return false, t.entry(h, n)
	}
	return false, t.member(h, n)
}

// extended reads a header that describes the next one.
func (t *tarFile) extended(kind byte, n int64) error {
	if t.pax != nil || kind != 'K' && t.long != "" || kind != 'L' && t.link != "" {
		return t.broken("typeflag", string(rune(kind)), "one extended header a member")
	}
	if n > maxPax {
		return t.place("size").Refuse(errcode.OVAPax, n, fmt.Sprint(maxPax), "an extended header has %d bytes", n)
	}
	body, err := binio.ReadRange(t.r, t.size, t.off+blockBytes, n, maxPax)
	if err != nil {
		return t.place("size").Unread(err)
	}
	switch kind {
	case 'L':
		t.long = strings.TrimRight(string(body), "\x00")
	case 'K':
		t.link = strings.TrimRight(string(body), "\x00")
	default:
		if t.pax, err = t.parsePax(body); err != nil {
			return err
		}
	}
	return t.skip(n)
}

// skip goes to the next header behind n bytes.
func (t *tarFile) skip(n int64) error {
	whole, err := binio.AlignUp(n, blockBytes)
	if err == nil {
		whole, err = binio.Add(whole, t.off+blockBytes)
	}
	if err != nil || whole > t.size {
		return t.place("size").Refuse(errcode.Truncated, n, fmt.Sprint(t.size-t.off-blockBytes), "a member of %d bytes reaches past the end of the tar file", n)
	}
	t.off = whole
	return nil
}

// named returns name and size of a member, as the header and those in front of it
// have them.
func (t *tarFile) named(h []byte, n int64) (string, int64, error) {
	name := nameOf(h)
	if t.long != "" {
		name = t.long
	}
	return t.pax.apply(t, name, n)
}

// room refuses a name that is there, and one member too many.
func (t *tarFile) room(name string) error {
	key := Fold(name)
	if t.names[key] {
		return t.place("name").Refuse(errcode.OVADuplicate, Clip(name), "names that differ", "member %q is there twice", Clip(name))
	}
	t.names[key] = true
	if have := len(t.members) + len(t.entries); have >= t.lim.Members {
		return t.place("").Refuse(errcode.OVATooManyMembers, have+1, fmt.Sprint(t.lim.Members), "the archive has more than %d members", t.lim.Members)
	}
	return nil
}

// member notes a member.
func (t *tarFile) member(h []byte, n int64) error {
	name, n, err := t.named(h, n)
	if err != nil {
		return err
	}
	here := h[atType] == '5' && n == 0 && (name == "./" || name == ".")
	name = strings.TrimPrefix(name, "./")
	if err := t.kind(h[atType], name, here); err != nil {
		return err
	}
	t.long, t.pax = "", nil
	if here {
		return t.skip(0)
	}
	if err := CheckName(name, t.lim, t.place("name")); err != nil {
		return err
	}
	if err := t.room(name); err != nil {
		return err
	}
	at := t.off + blockBytes
	if err := t.skip(n); err != nil {
		return err
	}
	t.members = append(t.members, Member{Name: name, Off: at, Size: n, r: t.r})
	return nil
}

// kind refuses what is not a regular file, but for the folder itself.
func (t *tarFile) kind(kind byte, name string, here bool) error {
	where := t.place("typeflag")
	switch {
	case kind == '0' || kind == 0:
		return nil
	case kind == '5' && here:
		return nil
	case kind == 'S':
		return where.Refuse(errcode.OVASparse, "S", "regular files", "member %q is a sparse file", Clip(name))
	case kind >= '1' && kind <= '7':
		return where.Refuse(errcode.OVALink, string(rune(kind)), "regular files", "member %q is not a regular file", Clip(name))
	case kind == 'g':
		return where.Refuse(errcode.OVAPax, "g", "headers of one member", "there is a global extended header")
	case kind == 'K':
		return where.Refuse(errcode.OVALink, "K", "regular files", "there is a long link")
	}
	return t.broken("typeflag", fmt.Sprintf("%#x", kind), "regular files")
}

// end reads the zeros at the end.
func (t *tarFile) end() error {
	n := t.size - t.off
	if n > maxTail {
		return t.place("").Refuse(errcode.TrailingData, n, fmt.Sprint(maxTail), "%d bytes follow the last member", n)
	}
	tail, err := binio.ReadRange(t.r, t.size, t.off, n, maxTail)
	if err != nil {
		return t.place("").Unread(err)
	}
	switch {
	case !binio.IsZero(tail):
		return t.place("").Refuse(errcode.TrailingData, nil, "zeros", "there is something behind the end of the tar file")
	case len(t.members)+len(t.entries) == 0:
		return t.broken("", nil, "a member")
	case t.pax != nil || t.long != "" || t.link != "":
		return t.broken("typeflag", nil, "a member behind its extended header")
	}
	return nil
}

// nameOf returns the name in a header. GNU's and older formats have no prefix.
func nameOf(h []byte) string {
	name := text(h[:100])
	if prefix := text(h[atPrefix : atPrefix+155]); string(h[atMagic:atMagic+6]) == "ustar\x00" && prefix != "" {
		return prefix + "/" + name
	}
	return name
}

// text returns the bytes of a field up to the first zero. A name that goes on
// behind it is refused by CheckName, as another one than the reader sees.
func text(p []byte) string {
	s := string(p)
	head, rest, _ := strings.Cut(s, "\x00")
	if strings.Trim(rest, "\x00") != "" {
		return s
	}
	return head
}

// sumOf returns the checksum that the header gives, and whether it has it: the sum
// of its bytes, the field itself taken as spaces. Some old programs summed signed
// bytes.
func sumOf(h []byte) (int64, bool) {
	want, err := number(h[atSum : atSum+8])
	var unsigned, signed int64
	for i, b := range h {
		if i >= atSum && i < atSum+8 {
			b = ' '
		}
		unsigned += int64(b)
		signed += int64(int8(b))
	}
	return want, err == nil && (want == unsigned || want == signed)
}

// number reads a field: octal digits between spaces and zeros, or base-256 with the
// first bit set, as GNU tar writes what has more than eleven digits.
func number(p []byte) (int64, error) {
	if p[0]&0x80 == 0 {
		s := strings.Trim(string(p), " \x00")
		if s == "" {
			return 0, nil
		}
		n, err := strconv.ParseUint(s, 8, 63)
		return int64(n), err
	}
	k := len(p) - 8
	if p[0] != 0x80 || k < 1 || !binio.IsZero(p[1:k]) {
		return 0, binio.ErrOverflow
	}
	n := binary.BigEndian.Uint64(p[k:])
	if n > math.MaxInt64 {
		return 0, binio.ErrOverflow
	}
	return int64(n), nil
}
