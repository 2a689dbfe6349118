package capacity

import (
	"testing"
)

func TestCopyMemory(t *testing.T) {
	for _, tt := range []struct {
		memory      int64
		conversions int
		want        int64
	}{
		{0, 2, MostCopy},
		{24 << 30, 2, MostCopy},
		{512 << 20, 2, 64 << 20},
		{256 << 20, 2, 32 << 20},
		{256 << 20, 1, 64 << 20},
		{128 << 20, 8, LeastCopy},
		{1 << 20, 0, LeastCopy},
	} {
		if got := CopyMemory(tt.memory, tt.conversions); got != tt.want {
			t.Errorf("%d bytes for %d conversions: %d, want %d", tt.memory, tt.conversions, got, tt.want)
		}
	}
}

// TestMemory finds what every machine has that runs tests.
func TestMemory(t *testing.T) {
	if n := Memory(); n < 64<<20 {
		t.Errorf("%d bytes", n)
	}
}
