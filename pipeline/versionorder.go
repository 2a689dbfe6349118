package pipeline

import (
	"cmp"
	"net/http"
	"strings"
	"time"
)

// compareVersions orders names as people order versions: what is a number in both is
// compared as one, whatever its length, and a tilde comes before everything, even the
// end, so that 1.0~rc1 is older than 1.0. Names that differ in zeros alone go by their
// text.
func compareVersions(a, b string) int {
	x, y := a, b
	for x != "" || y != "" {
		var wordX, wordY, numberX, numberY string
		wordX, x = leading(x, false)
		wordY, y = leading(y, false)
		if c := compareWords(wordX, wordY); c != 0 {
			return c
		}
		numberX, x = leading(x, true)
		numberY, y = leading(y, true)
		numberX, numberY = strings.TrimLeft(numberX, "0"), strings.TrimLeft(numberY, "0")
		if c := cmp.Or(cmp.Compare(len(numberX), len(numberY)), strings.Compare(numberX, numberY)); c != 0 {
			return c
		}
	}
	return strings.Compare(a, b)
}

// leading takes the digits, or all but digits, off the begin of a name.
func leading(s string, digits bool) (head, rest string) {
	i := strings.IndexFunc(s, func(r rune) bool { return (r >= '0' && r <= '9') != digits })
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i:]
}

func compareWords(a, b string) int {
	for i := 0; i < len(a) || i < len(b); i++ {
		if c := cmp.Compare(weight(a, i), weight(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

// weight is the place of a word's character: a tilde, the end, letters, all else.
func weight(s string, i int) int {
	if i >= len(s) {
		return 0
	}
	switch c := s[i]; {
	case c == '~':
		return -1
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		return int(c)
	default:
		return int(c) + 256
	}
}

func parseDate(text string) (time.Time, error) { return http.ParseTime(text) }
