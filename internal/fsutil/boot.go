package fsutil

import (
	"os"
	"strings"
	"sync"
)

// Boot names the host's boot, "" if it has no name. What a process has written is
// still there for another one of the same boot, durable or not.
var Boot = sync.OnceValue(func() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
})
