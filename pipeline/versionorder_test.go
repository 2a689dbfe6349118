package pipeline

import (
	"slices"
	"testing"
)

func TestCompareVersions(t *testing.T) {
	want := []string{"a-1.0~rc1.img", "a-1.0.img", "a-1.9.img", "a-1.10.img", "a-2-20260102.img", "a-2-20261101.img", "a-10.img", "b-1.img"}
	got := slices.Clone(want)
	slices.Reverse(got)
	if slices.SortFunc(got, compareVersions); !slices.Equal(got, want) {
		t.Errorf("sorted %q", got)
	}
	for _, pair := range [][2]string{{"a-1", "a-01"}, {"a", "a"}, {"99999999999999999999999", "100000000000000000000000"}} {
		if compareVersions(pair[0], pair[1]) != -compareVersions(pair[1], pair[0]) {
			t.Errorf("%q have no order", pair)
		}
	}
	if compareVersions("99999999999999999999999", "100000000000000000000000") >= 0 {
		t.Error("long numbers are compared as text")
	}
}
