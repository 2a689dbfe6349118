package child

import (
	"fmt"
	"os/exec"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxStack ends a recursion without end long before it has used up the memory.
const maxStack = 64 << 20

// confine takes from the process what it does not need. It cannot be undone.
func confine(lim Limits) error {
	// The runtime opens its own descriptors with the first timer: later it could not.
	time.Sleep(time.Microsecond)
	debug.SetMaxStack(maxStack)
	// Collect early: the rest of the address space is for one large allocation.
	debug.SetMemoryLimit(lim.Memory / 8)
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	for _, l := range []struct {
		name     string
		resource int
		most     uint64
	}{
		{"core", unix.RLIMIT_CORE, 0},
		{"file size", unix.RLIMIT_FSIZE, 0},
		{"processor time", unix.RLIMIT_CPU, uint64(lim.CPU / time.Second)},
		{"address space", unix.RLIMIT_AS, uint64(lim.Memory)},
		{"descriptors", unix.RLIMIT_NOFILE, 0},
	} {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.most, Max: l.most}); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return nil
}

// tie makes the child die with its parent.
func tie(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
