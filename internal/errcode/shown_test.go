package errcode

import (
	"strings"
	"testing"
)

func TestShown(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "plain": "plain", "Grüße": "Grüße", "a\x1b[2Jb\n": "a?[2Jb?", "\xff\xfe": "??", "\u202ex": "?x",
		strings.Repeat("a", 101):      strings.Repeat("a", 100) + "...",
		strings.Repeat("é", 60):       strings.Repeat("é", 50) + "...",
		"x" + strings.Repeat("é", 60): "x" + strings.Repeat("é", 49) + "?...",
	} {
		if got := Shown(in); got != want {
			t.Errorf("Shown(%q) = %q, want %q", in, got, want)
		}
	}
}
