package ingestserver

import (
	"os"
	"testing"
	"time"
)

// TestCPUOf reads times behind a name with a bracket and a space in it.
func TestCPUOf(t *testing.T) {
	const stat = "7 (in) gest) S 1 7 7 0 -1 4194560 1 2 3 4 100 20 3 1000 20 0 9 0 5 6 7"
	if d, err := cpuOf([]byte(stat)); err != nil || d != 11230*time.Millisecond {
		t.Errorf("%v, %v", d, err)
	}
	for _, bad := range []string{"", "7 (x) S 1 2", "7 (x) S 1 7 7 0 -1 4194560 1 2 3 4 a b c d 20"} {
		if d, err := cpuOf([]byte(bad)); err == nil {
			t.Errorf("%q: %v", bad, d)
		}
	}
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cpuOf(own); err != nil {
		t.Error(err)
	}
}
