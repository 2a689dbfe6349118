package errcode

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Shown makes a text of somebody else's fit for a message or for evidence: short and
// legible.
func Shown(s string) string {
	const most = 100
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
