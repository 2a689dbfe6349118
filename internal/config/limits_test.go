package config

import (
	"fmt"
	"testing"

	"github.com/spf13/pflag"

	"ingest/formats"
	"ingest/unwrap"
)

// TestLimits sets every limit to its bounds and one past them.
func TestLimits(t *testing.T) {
	parse := func(args ...string) (*Limits, error) {
		var l Limits
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		l.flags(f)
		if err := f.Parse(args); err != nil {
			t.Fatal(err)
		}
		return &l, l.check()
	}
	l, err := parse()
	if err != nil || l.Formats != formats.DefaultLimits() || l.Unwrap != unwrap.DefaultLimits() {
		t.Errorf("defaults %+v, %v", l, err)
	}
	for i, x := range new(Limits).all() {
		for value, good := range map[int64]bool{x.low: true, x.high: true, x.low - 1: false, x.high + 1: false} {
			l, err := parse(fmt.Sprintf("--%s=%d", x.flag, value))
			if (err == nil) != good {
				t.Errorf("--%s %d: %v", x.flag, value, err)
			}
			if got := l.all()[i].number(); got != value {
				t.Errorf("--%s %d sets %d", x.flag, value, got)
			}
		}
	}
}
