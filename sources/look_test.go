package sources

import "testing"

func TestFits(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a-*.img", "a-1.img", true}, {"a-*.img", "a-.img", true}, {"a-*.img", "a.img", false}, {"*", "", true}, {"a", "a", true}, {"a", "ab", false},
		{"a*a", "a", false}, {"a*b*c", "a1b2c", true}, {"a*b*c", "acb", false}, {"a*b*bc", "abbc", true}, {"a*b*bc", "abc", false}, {"**.img", "x.img", true},
	} {
		if got := Fits(c.pattern, c.name); got != c.want {
			t.Errorf("Fits(%q, %q) is %v", c.pattern, c.name, got)
		}
	}
}
