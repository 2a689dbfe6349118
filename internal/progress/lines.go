package progress

import (
	"fmt"
	"io"
	"time"
)

const (
	// lineEvery is how often a running stage writes a line, if it moved.
	lineEvery = 2 * time.Second
	// stalledEvery is how often it writes the same line again, so that a log
	// shows that somebody still watches.
	stalledEvery = 30 * time.Second
)

// lines is the view for files, pipes and logs.
type lines struct {
	w     io.Writer
	stage string
	last  time.Time // of the last line, or the begin of the stage
	text  string    // last figures written
}

func (l *lines) begin(stage string, at time.Time) {
	l.stage, l.last, l.text = stage, at, ""
}

func (l *lines) update(f Figures, at time.Time) {
	text, since := f.String(), at.Sub(l.last)
	if l.stage == "" || text == "" || since < lineEvery || (text == l.text && since < stalledEvery) {
		return
	}
	l.last, l.text = at, text
	fmt.Fprintf(l.w, "%-9s %s\n", l.stage, text)
}

func (l *lines) end(f Figures, took time.Duration, ok bool) {
	fmt.Fprintf(l.w, "%-9s %s\n", l.stage, ended(f, took, ok))
	l.stage = ""
}

func (l *lines) note(name, text string) { fmt.Fprintf(l.w, "%-9s %s\n", name, text) }

func (l *lines) close() {}
