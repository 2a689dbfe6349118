package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mostStacks is how many lines are told of what a server was at.
const mostStacks = 25

// last tells what the process was at when its test failed, and kills it: one that stands
// still is not one that has died.
func (s *server) last() string {
	if s.cmd == nil {
		return "no process runs"
	}
	log := filepath.Join(s.dir, fmt.Sprintf("stderr.%03d", s.runs))
	before, _ := os.ReadFile(log)
	is := "the process runs"
	select {
	case err := <-s.exited:
		s.exited <- err
		is = fmt.Sprintf("the process has ended: %v", err)
	default:
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // the runtime tells of its goroutines, and ends
		select {
		case err := <-s.exited:
			s.exited <- err
		case <-time.After(10 * time.Second):
			is = "the process does not even end"
		}
	}
	s.kill9()
	after, _ := os.ReadFile(log)
	return fmt.Sprintf("%s, the last of %d; it was at\n%slogged, at its end:\n%s", is, s.runs,
		stacks(string(after[len(before):])), tail(string(before), mostLog))
}

var (
	goroutine = regexp.MustCompile(`^goroutine \d+ .*\[([^\],]+)`)
	arguments = regexp.MustCompile(`\((0x|\{|\.\.\.|\)).*`)
)

// stacks counts goroutines by what they wait for and by the first function of ours.
func stacks(dump string) string {
	counts := map[string]int{}
	for stack := range strings.SplitSeq(dump, "\n\n") {
		state := goroutine.FindStringSubmatch(strings.TrimSpace(stack))
		if state == nil {
			continue
		}
		for line := range strings.Lines(stack) {
			if at, ok := strings.CutPrefix(line, "ingest/"); ok {
				counts[state[1]+": "+strings.TrimSpace(arguments.ReplaceAllString(at, ""))]++
				break
			}
		}
	}
	var b strings.Builder
	all := slices.SortedFunc(maps.Keys(counts), func(x, y string) int { return counts[y] - counts[x] })
	for _, at := range all[:min(len(all), mostStacks)] {
		fmt.Fprintf(&b, "%4d %s\n", counts[at], at)
	}
	return b.String()
}

func TestStacks(t *testing.T) {
	dump := `SIGQUIT: quit
PC=0x1 m=0 sigcode=0

goroutine 0 gp=0x1 m=0 mp=0x2 [idle]:
runtime.futex(0x1)
	/go/src/runtime/sys.s:1 +0x1

goroutine 12 gp=0x3 m=nil [select, 2 minutes]:
runtime.gopark(0x1)
	/go/src/runtime/proc.go:1 +0x1
ingest/activities.(*Turns).Take(0x1, {0x2})
	/src/activities/turns.go:1 +0x1

goroutine 13 gp=0x3 m=nil [select]:
ingest/activities.(*Turns).Take({0x2}, 0x1)
	/src/activities/turns.go:1 +0x1

goroutine 14 [semacquire]:
ingest/metadata/sqlcore.(*Repository).run(0x1)
	/src/x.go:1 +0x1
`
	want := "   2 select: activities.(*Turns).Take\n   1 semacquire: metadata/sqlcore.(*Repository).run\n"
	if got := stacks(dump); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
