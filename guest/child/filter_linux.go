//go:build linux && (amd64 || arm64 || riscv64)

package child

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Where the kernel hands the filter what it judges (struct seccomp_data of
// linux/seccomp.h). Arguments have 64 bits; all machines here are little-endian, so that
// the half that matters comes first.
const (
	dataCall = 0
	dataArch = 4
	dataArg0 = 16
)

// What the runtime names its memory with (linux/prctl.h), and prctl's first argument.
const prSetVMA = 0x53564d41

// A test is how an argument is judged.
type test uint8

const (
	always  test = iota
	equal        // the argument is the value
	anyBit       // the argument has a bit of the value
	without      // the argument has no bit of the value
	unknown      // the call is answered as by a kernel that does not know it
)

// A rule allows one system call if all of its conditions hold.
type rule struct {
	call  uint32
	conds []cond
}

// A cond is about the low 32 bits of one argument, counted from 0.
type cond struct {
	arg   uint32
	test  test
	value uint32
}

// rules are what a Go program without cgo needs once it runs: memory that is neither
// executable nor a file, threads of its own, time, signals to itself, and its
// descriptors. There is no call among them that gets a descriptor, starts a program or
// reaches another process.
func rules(pid int) []rule {
	memory := cond{2, without, unix.PROT_EXEC}
	self := cond{0, equal, uint32(pid)}
	return []rule{
		{unix.SYS_READ, nil}, {unix.SYS_WRITE, nil}, {unix.SYS_CLOSE, nil},
		{unix.SYS_MMAP, []cond{memory, {3, anyBit, unix.MAP_ANONYMOUS}}}, {unix.SYS_MPROTECT, []cond{memory}},
		{unix.SYS_MUNMAP, nil}, {unix.SYS_MADVISE, nil}, {unix.SYS_MINCORE, nil},
		{unix.SYS_PRCTL, []cond{{0, equal, prSetVMA}}},
		{unix.SYS_CLONE, []cond{{0, anyBit, unix.CLONE_THREAD}}}, {unix.SYS_EXIT, nil}, {unix.SYS_EXIT_GROUP, nil},
		{unix.SYS_FUTEX, nil}, {unix.SYS_SCHED_YIELD, nil}, {unix.SYS_SCHED_GETAFFINITY, nil},
		{unix.SYS_NANOSLEEP, nil}, {unix.SYS_CLOCK_GETTIME, nil}, {unix.SYS_GETTIMEOFDAY, nil}, {unix.SYS_CLOCK_NANOSLEEP, nil},
		{unix.SYS_SETITIMER, nil}, {unix.SYS_RESTART_SYSCALL, nil},
		{unix.SYS_RT_SIGACTION, nil}, {unix.SYS_RT_SIGPROCMASK, nil}, {unix.SYS_RT_SIGRETURN, nil}, {unix.SYS_SIGALTSTACK, nil},
		{unix.SYS_GETPID, nil}, {unix.SYS_GETTID, nil}, {unix.SYS_TGKILL, []cond{self}}, {unix.SYS_KILL, []cond{self}},
		{unix.SYS_EPOLL_PWAIT, nil}, {unix.SYS_EPOLL_CTL, nil}, {unix.SYS_GETRANDOM, nil},
	}
}

// threadsOfC are what the C library's threads need beside. Of its two ways to make one,
// it takes the second if the kernel does not know the first, whose arguments no filter
// sees.
func threadsOfC() []rule {
	return []rule{{unix.SYS_SET_ROBUST_LIST, nil}, {unix.SYS_RSEQ, nil}, {unix.SYS_CLONE3, []cond{{0, unknown, 0}}}}
}

// program writes the rules for the kernel: whatever no rule allows ends the process.
func program(rules []rule) []unix.SockFilter {
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	ret := func(what uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: what}
	}
	kill := ret(unix.SECCOMP_RET_KILL_PROCESS)
	out := []unix.SockFilter{
		load(dataArch), {Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: auditArch}, kill,
		load(dataCall),
	}
	for _, r := range rules {
		// The number stays loaded until a rule is entered, and no rule is left again.
		var body []unix.SockFilter
		verdict := ret(unix.SECCOMP_RET_ALLOW)
		for _, c := range r.conds {
			if c.test == unknown {
				verdict = ret(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS))
				continue
			}
			judge := unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jt: 1, K: c.value}
			switch c.test {
			case equal:
				judge.Code = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
			case without:
				judge.Jt, judge.Jf = 0, 1
			}
			body = append(body, load(dataArg0+8*c.arg), judge, kill)
		}
		body = append(body, verdict)
		out = append(out, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: uint8(len(body)), K: r.call})
		out = append(out, body...)
	}
	return append(out, kill)
}

// filter has the kernel end this process, all threads of it, at the first system call
// that is none of the rules. The caller's thread has no_new_privs set; the others get
// it with the filter.
func filter() error {
	allowed := rules(os.Getpid())
	if withC {
		allowed = append(allowed, threadsOfC()...)
	}
	p := program(allowed)
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	odd, _, err := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	switch {
	case err != 0:
		return err
	case odd != 0:
		return fmt.Errorf("thread %d has a filter of its own", odd)
	}
	return nil
}
