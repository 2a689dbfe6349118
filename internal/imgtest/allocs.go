package imgtest

import "testing"

// CountsAllocations skips a test that counts allocations, loudly, when the race
// detector is on.
func CountsAllocations(t testing.TB) {
	t.Helper()
	if Race {
		t.Skip("SKIPPED: allocations cannot be counted under the race detector")
	}
}
