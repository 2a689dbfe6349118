package contract

import "testing"

func TestMinDisk(t *testing.T) {
	for size, want := range map[int64]int64{0: 1, 1: 1, 1 << 30: 1, 1<<30 + 1: 2, 10 << 30: 10, 1<<63 - 1: 1 << 33} {
		if got := MinDisk(size); got != want {
			t.Errorf("%d bytes: %d GiB, want %d", size, got, want)
		}
	}
}
