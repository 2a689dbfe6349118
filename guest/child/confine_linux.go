package child

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxStack ends a recursion without end long before it has used up the memory.
	maxStack = 64 << 20
	// maxProcs keeps what the runtime maps for itself the same on machines of any size.
	maxProcs = 2
	// strays is up to where descriptors are looked at one by one.
	strays = 256
)

// confine takes from the process what it does not need. It cannot be undone.
func confine(lim Limits) error {
	// no_new_privs and the filter begin with the thread that sets them.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The runtime opens its own descriptors with the first timer: later it could not.
	time.Sleep(time.Microsecond)
	// A number of its own keeps the runtime from asking the system for it again and again.
	runtime.GOMAXPROCS(maxProcs)
	// The zone of the machine would be looked up in a file, with the first date of a disk.
	time.Local = time.UTC
	debug.SetMaxStack(maxStack)
	// Collect early: the rest of the address space is for one large allocation.
	debug.SetMemoryLimit(lim.Memory / 8)
	closeStrays()
	for _, p := range []struct {
		name        string
		option, arg int
	}{
		{"no new privileges", unix.PR_SET_NO_NEW_PRIVS, 1},
		// Neither core files nor a debugger of the same user.
		{"not dumpable", unix.PR_SET_DUMPABLE, 0},
	} {
		if err := unix.Prctl(p.option, uintptr(p.arg), 0, 0, 0); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
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
	if err := filter(); err != nil {
		return fmt.Errorf("system calls: %w", err)
	}
	return nil
}

// closeStrays closes whatever lies behind the socket: what the runtime opened to learn
// about its container, and what the parent was itself given by accident. What the
// runtime waits for timers with stays.
func closeStrays() {
	for fd := socket + 1; fd < strays; fd++ {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			continue
		}
		// What is no file has no type; without /proc it cannot be told further.
		to, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if st.Mode&unix.S_IFMT != 0 || err == nil && to != "anon_inode:[eventpoll]" && to != "anon_inode:[eventfd]" {
			unix.Close(fd)
		}
	}
	_ = unix.CloseRange(strays, 1<<31-1, 0) // Linux 5.9
}

// tie makes the child die with its parent.
func tie(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// forbidden reports whether a process ended at a system call that its filter does not
// allow.
func forbidden(state *os.ProcessState) bool {
	if state == nil {
		return false
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == unix.SIGSYS
}
