package child_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"ingest/guest/child"
	"ingest/guest/tree"
)

// An attempt is what a child that is taken over may try. It is ended for it, or else
// gets to say that it went on.
type attempt struct {
	name string
	try  func()
}

// attempts are made in the child.
func attempts() []attempt {
	path := []byte("/etc/hostname\x00")
	return []attempt{
		{"open a file", func() { os.Open("/etc/hostname") }},
		{"open a file by the old call", func() {
			unix.Syscall(unix.SYS_OPENAT, ^uintptr(99), uintptr(unsafe.Pointer(&path[0])), 0)
		}},
		{"make a file", func() { os.OpenFile(filepath.Join(os.TempDir(), "ingest-escape"), os.O_CREATE|os.O_WRONLY, 0o600) }},
		{"remove a file", func() { os.Remove("/nothing/there") }},
		{"list a folder", func() { os.ReadDir("/") }},
		{"ask for a file", func() { os.Stat("/etc/hostname") }},
		{"make a socket", func() { net.Dial("udp", "127.0.0.1:9") }},
		{"make a pair of sockets", func() { unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0) }},
		{"get descriptors over the socket", func() { unix.Recvmsg(3, make([]byte, 1), make([]byte, 64), 0) }},
		{"make a pipe", func() { os.Pipe() }},
		{"double a descriptor", func() { unix.Dup(0) }},
		{"make memory a file", func() { unix.MemfdCreate("x", 0) }},
		{"start a program", func() { exec.Command("/bin/true").Run() }},
		{"become a program", func() { syscall.Exec("/bin/true", nil, nil) }},
		{"become two", func() { unix.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0) }},
		{"signal the parent", func() { unix.Kill(os.Getppid(), 0) }},
		{"signal the parent's thread", func() { unix.Tgkill(1, 1, 0) }},
		{"trace another process", func() { unix.PtraceAttach(1) }},
		{"read another's memory", func() {
			p := make([]byte, 1)
			unix.ProcessVMReadv(1, []unix.Iovec{{Base: &p[0], Len: 1}}, []unix.RemoteIovec{{Base: 4096, Len: 1}}, 0)
		}},
		{"map a file", func() { unix.Mmap(0, 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE) }},
		{"run what it wrote", func() { unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS) }},
		{"make written memory run", func() { unix.Mprotect(make([]byte, 4096), unix.PROT_EXEC) }},
		{"share memory", func() { unix.SysvShmGet(1, 4096, 0o600|unix.IPC_CREAT) }},
		{"be dumpable again", func() { unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) }},
		{"raise a limit", func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 9, Max: 9}) }},
		{"change the user", func() { unix.Setuid(0) }},
		{"unshare", func() { unix.Unshare(unix.CLONE_NEWUSER) }},
		{"call by the 32-bit numbers of amd64", func() { unix.RawSyscall(0x40000000+unix.SYS_GETPID, 0, 0, 0) }},
	}
}

// escape makes one attempt.
func escape(n int64) tree.Listing {
	attempts()[n].try()
	return tree.Listing{Kernels: []string{"went on"}}
}

// TestEscapes demands that a child is ended by each attempt, and not only refused.
func TestEscapes(t *testing.T) {
	for i, a := range attempts() {
		t.Run(a.name, func(t *testing.T) {
			got := runner(t, limits()).List(t.Context(), disk(), 512, []tree.Volume{{Kind: "escape", Off: int64(i)}})
			if len(got) != 1 || !strings.Contains(got[0].NotInspected, "asked the system for what no reader needs") {
				t.Errorf("%+v", got)
			}
		})
	}
}

// childOf waits for a process that this one has started, with its limits set, and
// returns its folder in /proc.
func childOf(t *testing.T) string {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		all, err := filepath.Glob("/proc/[0-9]*/status")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range all {
			text, err := os.ReadFile(path)
			if err == nil && bytes.Contains(text, fmt.Appendf(nil, "\nPPid:\t%d\n", os.Getpid())) && bytes.Contains(text, []byte("\nSeccomp:\t2\n")) {
				return filepath.Dir(path)
			}
		}
	}
	t.Fatal("no child with a filter was seen")
	return ""
}

// TestConfinement looks at a child from outside: what it has, and what it may have.
func TestConfinement(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	t.Setenv("INGEST_SECRET", "geheim")
	for _, at := range []int{77, 300} { // what a parent has that does not close it for its children
		if err := unix.Dup3(0, at, 0); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(at)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runner(t, limits()).List(ctx, disk(), 512, []tree.Volume{{Kind: "sleep"}})
	}()
	proc := childOf(t)
	descriptorsOf(t, proc)
	threadsOf(t, proc)
	limitsOf(t, proc)
	if env, err := os.ReadFile(proc + "/environ"); err != nil || len(env) > 0 {
		t.Errorf("environment %q, %v", env, err)
	}
	if cwd, err := os.Readlink(proc + "/cwd"); err != nil || cwd != "/" {
		t.Errorf("folder %s, %v", cwd, err)
	}
	cancel()
	<-done
}

// descriptorsOf demands the three standard ones, the socket, and what waits for timers.
func descriptorsOf(t *testing.T, proc string) {
	t.Helper()
	entries, err := os.ReadDir(proc + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, e := range entries {
		to, err := os.Readlink(proc + "/fd/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(to, "anon_inode:") {
			to, _, _ = strings.Cut(to, ":[")
		}
		have = append(have, e.Name()+" "+to)
	}
	for _, h := range have {
		if !slices.Contains([]string{"0 /dev/null", "1 /dev/null", "2 pipe", "3 socket"}, h) && !strings.HasSuffix(h, " anon_inode:[eventpoll]") && !strings.HasSuffix(h, " anon_inode:[eventfd]") {
			t.Errorf("descriptor %s", h)
		}
	}
	if len(have) < 4 || len(have) > 6 {
		t.Errorf("descriptors %q", have)
	}
}

// threadsOf demands that each thread is bound, and not only the one that asked for it.
func threadsOf(t *testing.T, proc string) {
	t.Helper()
	threads, err := filepath.Glob(proc + "/task/*/status")
	if err != nil || len(threads) < 2 {
		t.Fatalf("%d threads, %v", len(threads), err)
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"\nNoNewPrivs:\t1\n", "\nSeccomp:\t2\n"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s: no %q", path, want)
			}
		}
	}
}

// limitsOf demands the limits, soft and hard.
func limitsOf(t *testing.T, proc string) {
	t.Helper()
	pid, err := strconv.Atoi(filepath.Base(proc))
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]uint64{
		unix.RLIMIT_AS: uint64(child.DefaultLimits().Memory), unix.RLIMIT_CPU: 1,
		unix.RLIMIT_NOFILE: 0, unix.RLIMIT_FSIZE: 0, unix.RLIMIT_CORE: 0,
	}
	for resource, most := range want {
		var have unix.Rlimit
		if err := unix.Prlimit(pid, resource, nil, &have); err != nil || have.Cur != most || have.Max != most {
			t.Errorf("limit %d: %+v, want %d, %v", resource, have, most, err)
		}
	}
}
