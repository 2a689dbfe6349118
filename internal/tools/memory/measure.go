package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"text/tabwriter"
	"time"

	"ingest/internal/contract"
	"ingest/internal/tools/ingestserver"
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
func idle(ctx context.Context, s *ingestserver.Server) (int64, error) {
	if err := s.Pause(ctx, settle); err != nil {
		return 0, err
	}
	now, _, err := s.Memory()
	return now, err
}

// measure imports, and takes the peak meanwhile: the largest of the samples and
// of the kernel's own high-water mark.
func measure(ctx context.Context, s *ingestserver.Server, what, url, to string) (measured, error) {
	m := measured{what: what}
	resetErr := s.ResetMark()
	fmt.Fprintf(os.Stderr, "importing: %s\n", what)
	quit, done := make(chan struct{}), sync.WaitGroup{}
	done.Go(func() { m.peak = watch(s, quit) })
	began := time.Now()
	task, err := s.Import(ctx, contract.ImportRequest{
		Source: contract.SourceSpec{URL: url}, Target: contract.TargetSpec{Format: to}, Image: contract.ImageSpec{Name: "memory"},
	})
	m.took = time.Since(began)
	close(quit)
	done.Wait()
	if err != nil {
		return m, err
	}
	m.content = task.Result.Images[0].ContentDigest
	if resetErr == nil {
		_, mark, err := s.Memory()
		if err != nil {
			return m, err
		}
		m.peak = max(m.peak, mark)
	}
	return m, nil
}

// watch samples until quit is closed and returns the largest sample.
func watch(s *ingestserver.Server, quit <-chan struct{}) int64 {
	var most int64
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		if now, _, err := s.Memory(); err == nil {
			most = max(most, now)
		}
		select {
		case <-tick.C:
		case <-quit:
			return most
		}
	}
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
