package config

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"ingest/guest/child"
)

// Inspect says whether what is inside of disks is looked at, and what that may cost.
type Inspect struct {
	On     bool
	Limits child.Limits // of one disk
}

func (i *Inspect) flags(f *pflag.FlagSet) {
	i.Limits = child.DefaultLimits()
	f.BoolVar(&i.On, "inspect", true, "look inside disks for their system, and set properties such as os_distro and hw_firmware_type")
	f.DurationVar(&i.Limits.Wall, "inspect-time", i.Limits.Wall, "how long reading the file systems of one disk may take")
	f.DurationVar(&i.Limits.CPU, "inspect-cpu", i.Limits.CPU, "processor time of the process that reads them, whole seconds")
	f.Int64Var(&i.Limits.Memory, "inspect-memory", i.Limits.Memory, "address space of that process, bytes; 1.3 GiB are taken before it reads anything")
	f.Int64Var(&i.Limits.Served, "inspect-bytes", i.Limits.Served, "bytes of one disk that it may read")
}

// Longest is how long a whole inspection may take: the tables and first sectors of a
// disk come from the same source, as slowly as the files.
func (i *Inspect) Longest() time.Duration { return 2 * i.Limits.Wall }

func (i *Inspect) check() error {
	l := i.Limits
	for _, d := range []struct {
		flag             string
		value, low, high time.Duration
	}{
		{"--inspect-time", l.Wall, time.Second, time.Hour},
		{"--inspect-cpu", l.CPU, time.Second, time.Hour},
	} {
		if d.value < d.low || d.value > d.high {
			return bad(d.flag, d.value.String(), fmt.Sprintf("is not from %v to %v", d.low, d.high))
		}
	}
	if l.CPU%time.Second != 0 {
		return bad("--inspect-cpu", l.CPU.String(), "is not a number of whole seconds")
	}
	for _, n := range []struct {
		flag             string
		value, low, high int64
	}{
		{"--inspect-memory", l.Memory, 3 << 29, 1 << 40},
		{"--inspect-bytes", l.Served, 1 << 20, 1 << 40},
	} {
		if n.value < n.low || n.value > n.high {
			return bad(n.flag, fmt.Sprint(n.value), fmt.Sprintf("is not from %d to %d", n.low, n.high))
		}
	}
	return nil
}
