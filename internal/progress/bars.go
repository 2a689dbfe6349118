package progress

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// barWidth is the width of the bar itself in columns; the figures need the
// rest of an 80 column terminal.
const barWidth = 20

// refresh is how often the terminal is drawn.
const refresh = 120 * time.Millisecond

// bars is the view for terminals: one bar a stage, finished ones stay above.
type bars struct {
	all *mpb.Progress
	bar *mpb.Bar
	fig *atomic.Pointer[string] // figures of the running bar, read while drawing
}

func newBars(w io.Writer, extra ...mpb.ContainerOption) *bars {
	opts := append([]mpb.ContainerOption{mpb.WithOutput(w), mpb.WithRefreshRate(refresh)}, extra...)
	return &bars{all: mpb.New(opts...)}
}

func (b *bars) begin(stage string, _ time.Time) {
	fig := new(atomic.Pointer[string])
	b.fig = fig
	b.set("")
	b.bar = b.all.MustAdd(0, filler(),
		mpb.BarWidth(barWidth),
		mpb.PrependDecorators(decor.Name(stage, decor.WC{W: 9, C: decor.DindentRight})),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return *fig.Load() })),
	)
}

// filler draws a bar if the total is known, and leaves its place empty if not.
func filler() mpb.BarFiller {
	bar := mpb.BarStyle().Build()
	return mpb.BarFillerFunc(func(w io.Writer, s decor.Statistics) error {
		if s.Total <= 0 || s.Completed || s.Aborted {
			return nil
		}
		return bar.Fill(w, s)
	})
}

func (b *bars) update(f Figures, _ time.Time) {
	if b.bar == nil {
		return
	}
	b.set(f.String())
	if f.Total > 0 {
		// A bar that reaches its total would end itself: its end is told by
		// end alone, because bytes done are not yet bytes durable.
		b.bar.SetTotal(f.Total+1, false)
		b.bar.SetCurrent(min(f.Done, f.Total))
	}
}

func (b *bars) end(f Figures, took time.Duration, ok bool) {
	if b.bar == nil {
		return
	}
	b.set(ended(f, took, ok))
	if ok {
		b.bar.SetTotal(-1, true)
	} else {
		b.bar.Abort(false)
	}
	b.bar = nil
}

// note writes above the bars, where those that are finished stand.
func (b *bars) note(name, text string) { fmt.Fprintf(b.all, "%-9s %s\n", name, text) }

func (b *bars) close() { b.all.Wait() }

func (b *bars) set(s string) { b.fig.Store(&s) }
