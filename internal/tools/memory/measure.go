package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"text/tabwriter"
	"time"
)

const (
	// settle is how long the server is left alone before its idle memory is
	// taken: the Go runtime gives pages back within seconds.
	settle = 10 * time.Second
	// sampleEvery is how often the resident memory is looked at.
	sampleEvery = 50 * time.Millisecond
)

// A measured import: sizes in bytes.
type measured struct {
	what       string
	idle, peak int64
	took       time.Duration
	content    string
}

func (m measured) above() int64 { return m.peak - m.idle }

// idle lets the server settle and returns the memory that it takes then. All
// imports are compared with this, so that what one does not give back counts.
func (s *server) idle(ctx context.Context) (int64, error) {
	if err := s.pause(ctx, settle); err != nil {
		return 0, err
	}
	now, _, err := s.memory()
	return now, err
}

// measure imports, and takes the peak meanwhile: the largest of the samples and
// of the kernel's own high-water mark.
func (s *server) measure(ctx context.Context, what, url, to string) (measured, error) {
	m := measured{what: what}
	resetErr := s.resetMark()
	fmt.Fprintf(os.Stderr, "importing: %s\n", what)
	quit, done := make(chan struct{}), sync.WaitGroup{}
	done.Go(func() { m.peak = s.watch(quit) })
	began := time.Now()
	task, err := s.importOne(ctx, url, to)
	m.took = time.Since(began)
	close(quit)
	done.Wait()
	if err != nil {
		return m, err
	}
	m.content = task.Result.Images[0].ContentDigest
	if resetErr == nil {
		_, mark, err := s.memory()
		if err != nil {
			return m, err
		}
		m.peak = max(m.peak, mark)
	}
	return m, nil
}

// watch samples until quit is closed and returns the largest sample.
func (s *server) watch(quit <-chan struct{}) int64 {
	var most int64
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		if now, _, err := s.memory(); err == nil {
			most = max(most, now)
		}
		select {
		case <-tick.C:
		case <-quit:
			return most
		}
	}
}

func (s *server) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), name)
}

// memory returns the resident memory of this moment and its high-water mark,
// bytes.
func (s *server) memory() (now, mark int64, err error) {
	b, err := os.ReadFile(s.proc("status"))
	if err != nil {
		return 0, 0, err
	}
	field := func(name string) int64 {
		m := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(b)
		if m == nil {
			err = fmt.Errorf("no %s in %s", name, s.proc("status"))
			return 0
		}
		n, _ := strconv.ParseInt(string(m[1]), 10, 64) // digits
		return n << 10
	}
	return field("VmRSS"), field("VmHWM"), err
}

// resetMark sets the high-water mark to the memory of this moment (proc(5),
// clear_refs). Without it the mark is that of the whole life and of no use.
func (s *server) resetMark() error {
	return os.WriteFile(s.proc("clear_refs"), []byte("5"), 0)
}

// report prints the table. Too much memory, and images whose content differs,
// are errors.
func report(w io.Writer, virtual, allocated int64, rows []measured) error {
	fmt.Fprintf(w, "disk of %d MiB, %d MiB of it data; resident memory in MiB\n\n", virtual/mib, allocated/mib)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "import\tidle\tpeak\tdifference\tseconds")
	var err error
	for _, m := range rows {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%.1f\n", m.what, m.idle/mib, m.peak/mib, m.above()/mib, m.took.Seconds())
		if m.above() > limit {
			err = fmt.Errorf("%s takes %d MiB above the idle server, at most %d are allowed", m.what, m.above()/mib, limit/mib)
		}
		if m.content != rows[0].content {
			err = fmt.Errorf("%s has content %s, %s has %s", m.what, m.content, rows[0].what, rows[0].content)
		}
	}
	if ferr := t.Flush(); ferr != nil {
		return ferr
	}
	return err
}
