package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"ingest/internal/contract"
)

// A Display shows the progress of one piece of work. Its methods are safe for
// concurrent use and do nothing after Done or Close.
type Display struct {
	mu     sync.Mutex
	out    view
	now    func() time.Time
	w      io.Writer // nil if quiet
	stage  string
	over   string // the stage that Ended has ended last
	began  time.Time
	fig    Figures
	meter  meter
	closed bool
}

// A view is one way of showing stages.
type view interface {
	begin(stage string, at time.Time)
	update(f Figures, at time.Time)
	// end finishes the stage; ok is false if it did not reach its end.
	end(f Figures, took time.Duration, ok bool)
	note(name, text string)
	close()
}

// New returns a display that writes to w: bars if w is a terminal, otherwise a
// line every two seconds and at the end of each stage. A quiet one writes
// nothing. The caller ends it with Done or Close.
func New(w io.Writer, quiet bool) *Display {
	switch {
	case quiet || w == nil:
		return newDisplay(nil, silent{}, time.Now)
	case Terminal(w):
		return newDisplay(w, newBars(w), time.Now)
	default:
		return newDisplay(w, &lines{w: w}, time.Now)
	}
}

func newDisplay(w io.Writer, v view, now func() time.Time) *Display {
	return &Display{out: v, now: now, w: w}
}

// Terminal reports whether bars can be drawn on w. A serial line that does not
// know its size gets lines: bars would not show at all.
func Terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return false
	}
	width, height, err := term.GetSize(int(f.Fd()))
	return err == nil && width >= 40 && height >= 2
}

// Stage ends the stage before and begins the named one. Naming the running
// stage does nothing.
func (d *Display) Stage(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begin(name)
}

// Update says how many bytes of how many are done; total is -1 if unknown.
func (d *Display) Update(done, total int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	now := d.now()
	f := Figures{Done: done, Total: total, ETA: -1}
	if f.Rate = d.meter.add(now, done); f.Rate > 0 && total > done {
		f.ETA = float64(total-done) / f.Rate
	}
	d.fig = f
	d.out.update(f, now)
}

// Show shows what a server says about a running import.
func (d *Display) Show(p contract.Progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := StageName(string(p.Stage), p.Disk)
	if name == d.over && d.over != "" {
		return // figures from before its end, seen late
	}
	if p.Stage != "" {
		d.begin(name)
	}
	if d.closed {
		return
	}
	d.fig = Figures{Done: p.Bytes, Total: p.Total, Rate: p.Rate, ETA: p.ETA, Attempt: p.Attempt, Message: p.Message}
	if p.Disk > 0 && d.fig.Message == "" {
		d.fig.Message = fmt.Sprintf("disk %d of %d", p.Disk, p.Disks)
	}
	d.out.update(d.fig, d.now())
}

// StageName is what a stage is called that works on the n-th of several disks; 0
// is the only one.
func StageName(stage string, disk int) string {
	if disk == 0 || stage == "" {
		return stage
	}
	return fmt.Sprintf("%s %d", stage, disk)
}

// Ended says that a stage has ended, with the figures of whoever did it. A stage
// that was over before anybody saw it run is shown as well.
func (d *Display) Ended(name string, bytes int64, took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begin(name)
	if d.closed {
		return
	}
	d.out.end(Figures{Done: bytes, Total: bytes, ETA: -1}, took, true)
	d.stage, d.over = "", name
}

// Note shows one line of what was found out, under a name as short as a stage's.
func (d *Display) Note(name, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.out.note(name, text)
	}
}

// Done ends the last stage as finished and writes the message, if there is one.
func (d *Display) Done(msg string) { d.finish(msg, true) }

// Close ends the display where it is. It is safe to defer beside Done.
func (d *Display) Close() { d.finish("", false) }

func (d *Display) begin(name string) {
	if d.closed || name == d.stage {
		return
	}
	now := d.now()
	d.endStage(now, true)
	d.stage, d.began, d.fig, d.meter = name, now, Figures{ETA: -1}, meter{}
	d.out.begin(name, now)
}

func (d *Display) endStage(now time.Time, ok bool) {
	if d.stage == "" {
		return
	}
	d.out.end(d.fig, now.Sub(d.began), ok)
	d.stage = ""
}

func (d *Display) finish(msg string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.endStage(d.now(), ok)
	d.closed = true
	d.out.close()
	if msg != "" && d.w != nil {
		fmt.Fprintln(d.w, msg)
	}
}

// ended writes the figures of a stage that is over.
func ended(f Figures, took time.Duration, ok bool) string {
	s := "done in " + Duration(took)
	if !ok {
		s = "stopped after " + Duration(took)
	}
	if f.Done > 0 {
		s = Bytes(f.Done) + "  " + s
		if secs := took.Seconds(); ok && secs >= 0.05 {
			s += "  " + Rate(float64(f.Done)/secs)
		}
	}
	return s
}

// silent is the view that shows nothing.
type silent struct{}

func (silent) begin(string, time.Time)          {}
func (silent) update(Figures, time.Time)        {}
func (silent) end(Figures, time.Duration, bool) {}
func (silent) note(string, string)              {}
func (silent) close()                           {}
