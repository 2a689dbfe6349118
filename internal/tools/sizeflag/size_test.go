package sizeflag

import "testing"

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64
	}{
		{"20GiB", 20 * gib}, {"512MiB", 512 * mib},
		{"", 0}, {"20", 0}, {"20GB", 0}, {"-1GiB", 0}, {"0MiB", 0}, {"GiB", 0}, {"9999999999GiB", 0},
	} {
		var s Size
		err := s.Set(c.text)
		if int64(s) != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%q is %d, %v", c.text, s, err)
		}
		if err == nil && s.String() != c.text {
			t.Errorf("%q is written as %q", c.text, s.String())
		}
	}
}
