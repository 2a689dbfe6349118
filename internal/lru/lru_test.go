package lru

import "testing"

func TestForgetsWhatWasNotUsedForLongest(t *testing.T) {
	m := New[string, int](2)
	m.Put("a", 1)
	m.Put("b", 2)
	m.Get("a")
	m.Put("c", 3)
	for key, want := range map[string]int{"a": 1, "b": 0, "c": 3} {
		if got, ok := m.Get(key); got != want || ok != (want > 0) {
			t.Errorf("%s is %d, %t, want %d", key, got, ok, want)
		}
	}
	m.Put("a", 4)
	m.Delete("c")
	m.Delete("nobody")
	if got, _ := m.Get("a"); got != 4 || m.Len() != 1 {
		t.Errorf("a is %d of %d", got, m.Len())
	}
}
