package progress

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vbauerster/mpb/v8"

	"ingest/internal/contract"
)

func TestHuman(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Bytes(-1), "unknown"},
		{Bytes(0), "0 B"},
		{Bytes(1023), "1023 B"},
		{Bytes(1024), "1.00 KiB"},
		{Bytes(1<<20 - 1), "1.00 MiB"},
		{Bytes(1536 << 20), "1.50 GiB"},
		{Bytes(10 << 30), "10.0 GiB"},
		{Bytes(100 << 40), "100 TiB"},
		{Bytes(1<<63 - 1), "8.00 EiB"},
		{Rate(0), ""},
		{Rate(120 << 20), "120 MiB/s"},
		{Duration(-1), "unknown"},
		{Duration(0), "0ms"},
		{Duration(350 * time.Millisecond), "350ms"},
		{Duration(999600 * time.Microsecond), "1.0s"},
		{Duration(4200 * time.Millisecond), "4.2s"},
		{Duration(59600 * time.Millisecond), "1m00s"},
		{Duration(185 * time.Second), "3m05s"},
		{Duration(time.Hour - time.Millisecond), "1h00m"},
		{Duration(62 * time.Minute), "1h02m"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestFigures(t *testing.T) {
	for _, c := range []struct {
		name string
		f    Figures
		want string
	}{
		{"nothing known", Figures{Total: -1, ETA: -1}, ""},
		{"total unknown", Figures{Done: 2048, Total: -1, Rate: 1024, ETA: -1}, "2.00 KiB  1.00 KiB/s"},
		{"under way", Figures{Done: 1 << 20, Total: 4 << 20, Rate: 1 << 20, ETA: 3, Attempt: 1}, " 25%  1.00 MiB of 4.00 MiB  1.00 MiB/s  ETA 3.0s"},
		{"almost", Figures{Done: 999, Total: 1000, ETA: -1}, " 99%  999 B of 1000 B"},
		{"more than the total", Figures{Done: 2000, Total: 1000, ETA: 0}, "100%  1.95 KiB of 1000 B"},
		{"tried again", Figures{Total: -1, ETA: -1, Attempt: 3, Message: "source unreachable"}, "attempt 3  source unreachable"},
	} {
		if got := c.f.String(); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// clock is a time that only the test moves.
type clock struct{ t time.Time }

func (c *clock) now() time.Time       { return c.t }
func (c *clock) pass(d time.Duration) { c.t = c.t.Add(d) }
func newClock() *clock                { return &clock{time.Unix(1000, 0)} }
func plain(c *clock) (*Display, *buffer) {
	b := &buffer{}
	return newDisplay(b, &lines{w: b}, c.now), b
}

// buffer is a bytes.Buffer that may be written while it is read.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestLines(t *testing.T) {
	c := newClock()
	d, out := plain(c)
	d.Stage("fetch")
	for i := range 7 { // a line every two seconds, whatever is told in between
		d.Update(int64(i)<<20, 10<<20)
		c.pass(500 * time.Millisecond)
		d.Update(int64(i)<<20+1<<19, 10<<20)
		c.pass(500 * time.Millisecond)
	}
	d.Stage("fetch") // the running stage goes on
	d.Stage("detect")
	c.pass(30 * time.Millisecond)
	d.Done("image is active")
	d.Stage("late")
	d.Update(1, 2)
	d.Done("twice")
	want := strings.Join([]string{
		"fetch      20%  2.00 MiB of 10.0 MiB  1.00 MiB/s  ETA 8.0s",
		"fetch      40%  4.00 MiB of 10.0 MiB  1.00 MiB/s  ETA 6.0s",
		"fetch      60%  6.00 MiB of 10.0 MiB  1.00 MiB/s  ETA 4.0s",
		"fetch     6.50 MiB  done in 7.0s  951 KiB/s",
		"detect    done in 30ms",
		"image is active",
		"",
	}, "\n")
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestLinesOfAServer(t *testing.T) {
	c := newClock()
	d, out := plain(c)
	p := contract.Progress{Stage: contract.StageConvert, Bytes: 1 << 30, Total: 4 << 30, Rate: 512 << 20, ETA: 6, Attempt: 2}
	for range 33 { // stalled: told again after thirty seconds
		d.Show(p)
		c.pass(time.Second)
	}
	p.Stage = contract.StageStore
	d.Show(p)
	d.Close()
	line := "convert    25%  1.00 GiB of 4.00 GiB  512 MiB/s  ETA 6.0s  attempt 2"
	want := line + "\n" + line + "\n" +
		"convert   1.00 GiB  done in 33s  31.0 MiB/s\n" +
		"store     1.00 GiB  stopped after 0ms\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestMeterBeginsAgain(t *testing.T) {
	var m meter
	at := time.Unix(0, 0)
	m.add(at, 100)
	if got := m.add(at.Add(time.Second), 300); got != 200 {
		t.Errorf("rate %v, want 200", got)
	}
	if got := m.add(at.Add(2*time.Second), 50); got != 0 {
		t.Errorf("rate after a new begin is %v, want 0", got)
	}
	// A stall shows: only the window counts.
	for i := 3; i < 20; i++ {
		if got := m.add(at.Add(time.Duration(i)*time.Second), 50); got != 0 {
			t.Errorf("rate of a stall is %v, want 0", got)
		}
	}
}

func TestQuiet(t *testing.T) {
	var out bytes.Buffer
	d := New(&out, true)
	d.Stage("fetch")
	d.Update(1, 2)
	d.Done("done")
	if out.Len() != 0 {
		t.Errorf("a quiet display wrote %q", out.String())
	}
}

func TestBars(t *testing.T) {
	out := &buffer{}
	d := newDisplay(out, newBars(out, mpb.WithAutoRefresh(), mpb.WithWidth(100)), newClock().now)
	d.Stage("fetch")
	d.Update(1<<20, 4<<20)
	d.Update(4<<20, 4<<20)
	d.Stage("detect")
	d.Stage("convert")
	d.Update(7<<20, -1)
	d.Done("all done")
	got := out.String()
	for _, want := range []string{"fetch", "4.00 MiB  done in 0ms", "detect", "convert", "7.00 MiB  done in 0ms"} {
		if !strings.Contains(got, want) {
			t.Errorf("the bars do not show %q:\n%s", want, got)
		}
	}
	if !strings.HasSuffix(got, "all done\n") {
		t.Errorf("the message is not last:\n%s", got)
	}
}

func TestBarsStopped(t *testing.T) {
	out := &buffer{}
	d := newDisplay(out, newBars(out, mpb.WithAutoRefresh(), mpb.WithWidth(100)), newClock().now)
	d.Stage("fetch")
	d.Update(1<<20, 4<<20)
	d.Close() // must not wait for a bar that never fills
	d.Stage("late")
	d.Update(1, 2)
	if strings.Contains(out.String(), "late") {
		t.Error("a closed display shows another stage")
	}
	if got := out.String(); !strings.Contains(got, "stopped after") {
		t.Errorf("the bar does not say that it stopped:\n%s", got)
	}
}

func TestConcurrentUse(t *testing.T) {
	out := &buffer{}
	d := New(out, false)
	d.Stage("convert")
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 200 {
				d.Update(int64(w*200+i), 800)
			}
		}()
	}
	wg.Wait()
	d.Done("")
	if got := out.String(); !strings.HasPrefix(got, "convert ") || !strings.HasSuffix(got, "\n") {
		t.Errorf("got %q", got)
	}
}

func TestEndedStagesAreShownOnceWithTheirOwnFigures(t *testing.T) {
	var out bytes.Buffer
	d := New(&out, false)
	d.Ended("fetch", 0, 1500*time.Millisecond)
	d.Show(contract.Progress{Stage: contract.StageConvert, Bytes: 1, Total: 2 << 20})
	d.Ended("convert", 2<<20, 2*time.Second)
	d.Show(contract.Progress{Stage: contract.StageConvert, Bytes: 1, Total: 2 << 20})
	d.Done("")
	want := "fetch     done in 1.5s\nconvert   2.00 MiB  done in 2.0s  1.00 MiB/s\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
