package config

import (
	"testing"
	"time"

	"github.com/spf13/pflag"

	"ingest/guest/child"
)

// TestInspect sets every limit of inspection to its bounds and past them.
func TestInspect(t *testing.T) {
	parse := func(args ...string) (Inspect, error) {
		var i Inspect
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		i.flags(f)
		if err := f.Parse(args); err != nil {
			t.Fatal(err)
		}
		return i, i.check()
	}
	i, err := parse()
	if err != nil || !i.On || i.Limits != child.DefaultLimits() || i.Longest() != 2*i.Limits.Wall {
		t.Errorf("defaults %+v, %v", i, err)
	}
	if i, _ := parse("--inspect=false", "--inspect-time=7s", "--inspect-cpu=3s", "--inspect-memory=3000000000", "--inspect-bytes=2097152"); i.On ||
		i.Limits.Wall != 7*time.Second || i.Limits.CPU != 3*time.Second || i.Limits.Memory != 3_000_000_000 || i.Limits.Served != 2<<20 {
		t.Errorf("set %+v", i)
	}
	for arg, good := range map[string]bool{
		"--inspect-time=1s": true, "--inspect-time=999ms": false, "--inspect-time=1h": true, "--inspect-time=61m": false,
		"--inspect-cpu=1s": true, "--inspect-cpu=0s": false, "--inspect-cpu=1500ms": false, "--inspect-cpu=2h": false,
		"--inspect-memory=1610612736": true, "--inspect-memory=1610612735": false, "--inspect-memory=1099511627776": true, "--inspect-memory=1099511627777": false,
		"--inspect-bytes=1048576": true, "--inspect-bytes=1048575": false, "--inspect-bytes=1099511627777": false,
	} {
		if _, err := parse(arg); (err == nil) != good {
			t.Errorf("%s: %v", arg, err)
		}
	}
}
