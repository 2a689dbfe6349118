package child_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ingest/guest/child"
	"ingest/guest/tree"
	"ingest/internal/imgtest"
)

// TestMain is the child too, as the program is. The volume's kind says what goes wrong
// in it.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "guest-child" {
		os.Exit(child.Main(act))
	}
	os.Exit(m.Run())
}

// act does in the child what a kind names.
func act(r io.ReaderAt, v tree.Volume) tree.Listing {
	switch v.Kind {
	case "panic":
		panic("as ordered")
	case "loop":
		for n := 0; ; n++ {
			if n < 0 {
				return tree.Listing{}
			}
		}
	case "sleep":
		time.Sleep(time.Hour)
	case "read and sleep":
		r.ReadAt(make([]byte, 1), v.Off)
		time.Sleep(time.Hour)
	case "memory":
		p := make([]byte, v.Len)
		return tree.Listing{Kernels: []string{fmt.Sprint(len(p))}}
	case "grow":
		var all [][]byte
		for {
			p := make([]byte, 1<<20)
			for i := range p {
				p[i] = 1
			}
			all = append(all, p)
			runtime.KeepAlive(all)
		}
	case "recursion":
		return act(r, v)
	case "read for ever":
		p := make([]byte, 512)
		for {
			if _, err := r.ReadAt(p, v.Off); err != nil {
				return tree.Listing{NotInspected: "no more is read"}
			}
		}
	case "read much":
		p := make([]byte, 1<<20)
		for {
			if _, err := r.ReadAt(p, 0); err != nil {
				return tree.Listing{NotInspected: "no more is read"}
			}
		}
	case "talk":
		var l tree.Listing
		for range 4000 {
			l.Kernels = append(l.Kernels, strings.Repeat("k", 100))
		}
		return l
	case "exit":
		os.Exit(0)
	case "escape":
		return escape(v.Off)
	case "lie":
		return lie(v.Off)
	case "bytes":
		p := make([]byte, v.Len)
		n, err := r.ReadAt(p, v.Off)
		return tree.Listing{Kernels: []string{string(p[:n]), fmt.Sprint(err)}}
	}
	return tree.Listing{NotInspected: "unknown " + v.Kind}
}

// lies are frames that no honest child sends: a kind, a length, an offset, and what
// follows.
func lies() []struct {
	kind  byte
	n     uint32
	off   uint64
	after string
	why   string
} {
	return []struct {
		kind  byte
		n     uint32
		off   uint64
		after string
		why   string
	}{
		{'X', 0, 0, "", "an answer that makes no sense"},
		{'R', 1 << 31, 0, "", "a read of 2147483648 bytes"},
		{'R', 1<<20 + 1, 0, "", "a read of 1048577 bytes"},
		{'R', 512, 1<<20 - 511, "", "a read behind the disk's end"},
		{'R', 512, 1 << 63, "", "a read behind the disk's end"},
		{'R', 512, 1<<63 - 100, "", "a read behind the disk's end"},
		{'L', 1<<32 - 1, 0, "", "it has too much to say"},
		{'L', 4, 0, "null", ""},
		{'L', 5, 0, "[1,2]", "an answer that makes no sense"},
		{'L', 100, 0, "{}", "its answer broke off"},
	}
}

// lie sends a frame past the honest code, and ends the child.
func lie(n int64) tree.Listing {
	l := lies()[n]
	frame := make([]byte, 16)
	frame[0] = l.kind
	binary.LittleEndian.PutUint32(frame[4:], l.n)
	binary.LittleEndian.PutUint64(frame[8:], l.off)
	unix.Write(3, append(frame, l.after...))
	os.Exit(0)
	return tree.Listing{}
}

// TestLies demands that a child which is taken over can do no more than die.
func TestLies(t *testing.T) {
	for i, l := range lies() {
		before := descriptors(t)
		var m, n runtime.MemStats
		runtime.ReadMemStats(&m)
		got := runner(t, limits()).List(t.Context(), &mebibyte{disk()}, 1<<20, []tree.Volume{{Kind: "lie", Off: int64(i)}})
		runtime.ReadMemStats(&n)
		if len(got) != 1 || !strings.Contains(got[0].NotInspected, l.why) || (l.why == "") != (got[0].NotInspected == "") {
			t.Errorf("%c %d at %d: %+v, want %q", l.kind, l.n, l.off, got, l.why)
		}
		if after := descriptors(t); after != before || n.TotalAlloc-m.TotalAlloc > 8<<20 {
			t.Errorf("%c %d: %d descriptors, %d before; %d bytes allocated", l.kind, l.n, after, before, n.TotalAlloc-m.TotalAlloc)
		}
	}
}

// limits are those of the product, with less time.
func limits() child.Limits {
	lim := child.DefaultLimits()
	lim.CPU, lim.Wall = time.Second, time.Minute
	return lim
}

func runner(t *testing.T, lim child.Limits) child.Runner {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return child.Runner{Path: exe, Args: []string{"guest-child"}, Limits: lim}
}

// descriptors counts those that this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// a disk of 64 KiB, each sector of which holds its number.
func disk() *bytes.Reader {
	var b bytes.Buffer
	for i := range 128 {
		b.WriteString(fmt.Sprintf("%-512d", i))
	}
	return bytes.NewReader(b.Bytes())
}

func TestReads(t *testing.T) {
	d := disk()
	got := runner(t, limits()).List(t.Context(), d, d.Size(), []tree.Volume{{Kind: "bytes", Off: 512 * 77, Len: 4}, {Kind: "bytes", Off: 512*127 + 510, Len: 4}, {Kind: "bytes", Off: -5, Len: 3}})
	want := []tree.Listing{{Kernels: []string{"77  ", "<nil>"}}, {Kernels: []string{"  ", "EOF"}}, {Kernels: []string{"", "EOF"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestDeaths lets children end in every way that a crafted file system can bring
// about: the volume is told, the one behind it is read, and this process is as before.
func TestDeaths(t *testing.T) {
	good := tree.Volume{Kind: "bytes", Off: 512, Len: 1}
	read := tree.Listing{Kernels: []string{"1", "<nil>"}}
	for _, c := range []struct {
		bad  tree.Volume
		why  string
		over bool // nothing is left for the volume behind
		lim  func(*child.Limits)
	}{
		{tree.Volume{Kind: "panic"}, "its reader failed: panic: as ordered", false, nil},
		{tree.Volume{Kind: "loop"}, "more than 1s of processor time", false, nil},
		{tree.Volume{Kind: "sleep"}, "it took longer than 10s", true, func(l *child.Limits) { l.Wall = 10 * time.Second }},
		{tree.Volume{Kind: "memory", Len: 512 << 30}, "more than 2048 MiB of memory", false, nil},
		{tree.Volume{Kind: "memory", Len: 1 << 62}, "its reader failed: panic: runtime error: makeslice: len out of range", false, nil},
		{tree.Volume{Kind: "grow"}, "more than 2048 MiB of memory", false, func(l *child.Limits) { l.CPU = 20 * time.Second }},
		{tree.Volume{Kind: "recursion"}, "called itself without end", false, nil},
		{tree.Volume{Kind: "read for ever"}, "more than 1000 reads", true, func(l *child.Limits) { l.Requests = 1000 }},
		{tree.Volume{Kind: "read much"}, "more than 4 MiB of reading", true, func(l *child.Limits) { l.Served = 4 << 20 }},
		{tree.Volume{Kind: "talk"}, "it has too much to say", true, nil},
		{tree.Volume{Kind: "exit"}, "its reader failed", false, nil},
	} {
		t.Run(c.bad.Kind, func(t *testing.T) {
			lim := limits()
			if c.lim != nil {
				c.lim(&lim)
			}
			d := &mebibyte{disk()}
			before := descriptors(t)
			var m, n runtime.MemStats
			runtime.ReadMemStats(&m)
			got := runner(t, lim).List(t.Context(), d, 1<<20, []tree.Volume{good, c.bad, good})
			runtime.ReadMemStats(&n)
			if diff := cmp.Diff(read, got[0]); diff != "" {
				t.Errorf("the volume before it (-want +got)\n%s", diff)
			}
			// The race detector has its own words for want of memory.
			if imgtest.Race && got[1].NotInspected != "" && slices.Contains([]string{"memory", "grow", "recursion"}, c.bad.Kind) {
				c.why = ""
			}
			if !strings.Contains(got[1].NotInspected, c.why) {
				t.Errorf("not inspected %q, want %q", got[1].NotInspected, c.why)
			}
			if c.over {
				if !strings.Contains(got[2].NotInspected, "used up") {
					t.Errorf("the volume behind it: %+v", got[2])
				}
			} else if diff := cmp.Diff(read, got[2]); diff != "" {
				t.Errorf("the volume behind it (-want +got)\n%s", diff)
			}
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors, %d before", after, before)
			}
			if grown := int64(n.TotalAlloc - m.TotalAlloc); grown > 32<<20 {
				t.Errorf("this process allocated %d bytes", grown)
			}
		})
	}
}

// mebibyte is a disk that goes on with zeros up to 1 MiB.
type mebibyte struct{ r *bytes.Reader }

func (m *mebibyte) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if _, err := m.r.ReadAt(p, off); err != nil && err != io.EOF {
		return 0, err
	}
	return len(p), nil
}

// unreadable is a disk that fails.
type unreadable struct{}

func (unreadable) ReadAt([]byte, int64) (int, error) { return 0, errors.New("gone") }

func TestUnreadableDisk(t *testing.T) {
	got := runner(t, limits()).List(t.Context(), unreadable{}, 1<<20, []tree.Volume{{Kind: "bytes", Off: 512, Len: 1}})
	if len(got) != 1 || len(got[0].Kernels) != 2 || got[0].Kernels[1] != "the disk cannot be read at 512" {
		t.Errorf("%+v", got)
	}
}

func TestNoProgram(t *testing.T) {
	got := child.Runner{Path: "/nothing/there", Limits: limits()}.List(t.Context(), disk(), 512, make([]tree.Volume, 2))
	if !strings.HasPrefix(got[0].NotInspected, "no process could be started") || got[1].NotInspected == "" {
		t.Errorf("%+v", got)
	}
}

// interrupting is a disk with whose first read everything is interrupted.
type interrupting struct {
	io.ReaderAt
	interrupt func()
}

func (d interrupting) ReadAt(p []byte, off int64) (int, error) {
	d.interrupt()
	return d.ReaderAt.ReadAt(p, off)
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := runner(t, limits()).List(ctx, interrupting{disk(), cancel}, 512, []tree.Volume{{Kind: "read and sleep"}, {Kind: "sleep"}})
	if got[0].NotInspected != "interrupted" || got[1].NotInspected == "" {
		t.Errorf("%+v", got)
	}
}

// TestManyVolumes holds the limit on volumes.
func TestManyVolumes(t *testing.T) {
	got := runner(t, limits()).List(t.Context(), disk(), 64<<10, slicesOf(tree.Volume{Kind: "bytes", Len: 1}, 17))
	if got[15].NotInspected != "" || got[16].NotInspected != "only the first 16 volumes are read" {
		t.Errorf("%+v", got[15:])
	}
}

func slicesOf(v tree.Volume, n int) []tree.Volume {
	out := make([]tree.Volume, n)
	for i := range out {
		out[i] = v
	}
	return out
}
