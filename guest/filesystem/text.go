package filesystem

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"ingest/internal/binio"
)

// text returns a field of a superblock up to its first NUL, without padding and
// control characters.
func text(p []byte) string {
	if i := bytes.IndexByte(p, 0); i >= 0 {
		p = p[:i]
	}
	return clean(string(p))
}

func clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s))
}

// text16 is text for UTF-16, little-endian.
func text16(p []byte) string {
	var u []uint16
	for i := 0; i+1 < len(p); i += 2 {
		c := uint16(p[i]) | uint16(p[i+1])<<8
		if c == 0 {
			break
		}
		u = append(u, c)
	}
	return clean(string(utf16.Decode(u)))
}

// uuid writes 16 bytes as a UUID, "" if all are zero.
func uuid(p []byte) string {
	if binio.IsZero(p[:16]) {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", p[0:4], p[4:6], p[6:8], p[8:10], p[10:16])
}

// dosID writes the serial number of a FAT or exFAT volume.
func dosID(n uint32) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%04X-%04X", n>>16, n&0xffff)
}
