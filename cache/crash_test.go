package cache

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"ingest/internal/fsutil"
)

// childEnv makes the test program be one of the processes of these tests.
const childEnv = "INGEST_CACHE_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "busy":
		os.Exit(busyChild())
	case "full":
		// A write beyond the limit is to fail, and not to end the process.
		signal.Ignore(syscall.SIGXFSZ)
	}
	os.Exit(m.Run())
}

// child starts this program with its folder.
func child(t *testing.T, what, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), childEnv+"="+what, "CACHE_DIR="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// childSizes are those of what the busy child reads; all of them together are more
// than its cache holds.
var childSizes = []int{100, 70_000, 300_000, mib, 2 * mib, 3 * mib}

const childMax = 4 * mib

// childObjects are the same in every process.
func childObjects(src *remote) (out []Object, data [][]byte) {
	for i, size := range childSizes {
		name := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		o, b, err := src.commit(context.Background(), name, name, size)
		if err != nil {
			panic(err)
		}
		out, data = append(out, o), append(data, b)
	}
	return out, data
}

// busyChild reads, drops and queues until it is killed, and says each time that it
// has read something.
func busyChild() int {
	src := newRemote()
	objects, data := childObjects(src)
	c, err := Open(Options{Dir: os.Getenv("CACHE_DIR"), MaxBytes: childMax, Stall: time.Hour, Source: src})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for i := 0; ; i = (i + 5) % 1001 {
		n := i % len(objects)
		r, err := c.Reader(context.Background(), objects[n], 0, -1)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || !bytes.Equal(got, data[n]) {
			fmt.Fprintf(os.Stderr, "%d of %d bytes, %v\n", len(got), len(data[n]), err)
			return 1
		}
		fmt.Println("read")
		switch i % 7 {
		case 6:
			c.Drop(objects[n].Store, objects[n].Key)
		case 1:
			_ = c.Queue(objects[n])
		case 2:
			c.saveUsage()
		}
	}
}

// quick returns a folder in memory if there is room in it: a busy disk might have nothing
// whole at any moment.
func quick(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "ingest-cache")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if free, err := fsutil.Free(dir); err != nil || free < 2*MinFree {
		return t.TempDir()
	}
	return dir
}

// TestKilled kills a busy process again and again: what the next one finds is
// right, and nothing else is left.
func TestKilled(t *testing.T) {
	dir := quick(t)
	src := newRemote()
	objects, data := childObjects(src)
	entries := 0
	for i := range 30 {
		cmd := child(t, "busy", dir)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		// The moment is another one each time: so many reads, and somewhat more.
		lines := bufio.NewReader(out)
		for range 1 + i%17 {
			if _, err := lines.ReadString('\n'); err != nil {
				t.Fatalf("the child ended by itself: %v", cmd.Wait())
			}
		}
		time.Sleep(time.Duration(i*i%97) * 50 * time.Microsecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("the child ended by itself: %v", err)
		}
		c := open(t, Options{Dir: dir, MaxBytes: childMax, Source: src})
		whole(t, c)
		entries += len(c.View().Entries)
		if got, err := c.Clean(t.Context(), true); err != nil || got != (Cleaned{}) {
			t.Fatalf("after kill %d: %+v, %v", i, got, err)
		}
		before := src.opens.Load()
		for n, o := range objects {
			if has(c, o) {
				get(t, c, o, data[n], 0, -1)
			}
		}
		if src.opens.Load() != before {
			t.Error("an entry is not served")
		}
		c.Close()
	}
	t.Logf("%d entries found after 30 kills", entries)
	if entries < 30 {
		t.Errorf("only %d entries were found after 30 kills", entries)
	}
}

// TestDiskFull lets the disk take a megabyte a file. It runs in a process of its
// own, which has that limit.
func TestDiskFull(t *testing.T) {
	if os.Getenv(childEnv) != "full" {
		cmd := child(t, "full", t.TempDir(), "-test.run=^TestDiskFull$", "-test.v")
		out, err := cmd.Output()
		if err != nil || !bytes.Contains(out, []byte("--- PASS: TestDiskFull")) {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	limit := syscall.Rlimit{Cur: mib, Max: mib}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	src := newRemote()
	large, data := src.put(t, 3*mib)
	small, other := src.put(t, mib)
	c := open(t, Options{Dir: os.Getenv("CACHE_DIR"), Source: src})
	readers(t, c, large, data, 5)
	settle(t, c)
	if s := c.View().Stats; s.DiskErrors < 1 || has(c, large) {
		t.Errorf("%+v", s)
	}
	readers(t, c, small, other, 5)
	settle(t, c)
	if !has(c, small) {
		t.Errorf("what has room is not copied: %+v", c.View())
	}
	whole(t, c)
}
