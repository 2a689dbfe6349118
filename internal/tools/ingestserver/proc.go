package ingestserver

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

func (s *Server) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), name)
}

// Memory returns the resident memory of this moment and its high-water mark,
// bytes.
func (s *Server) Memory() (now, mark int64, err error) {
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

// ResetMark sets the high-water mark to the memory of this moment (proc(5),
// clear_refs). Without it the mark is that of the whole life and of no use.
func (s *Server) ResetMark() error {
	return os.WriteFile(s.proc("clear_refs"), []byte("5"), 0)
}

// tick is the unit of the processor times in /proc: USER_HZ, which is 100 on every
// architecture that Go runs on.
const tick = time.Second / 100

// CPU returns the processor time that the server and the children it has waited for
// have taken so far.
func (s *Server) CPU() (time.Duration, error) { return CPU(s.cmd.Process.Pid) }

// CPU returns the processor time of any process and the children it has waited for.
func CPU(pid int) (time.Duration, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	return cpuOf(b)
}

// cpuOf reads a stat file: the fields behind the name, which may hold spaces, begin
// with the third (proc(5)).
func cpuOf(stat []byte) (time.Duration, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const utime, cstime = 14, 17
	if len(fields) < cstime-2 {
		return 0, fmt.Errorf("stat file of %d fields", len(fields)+2)
	}
	var sum int64
	for _, f := range fields[utime-3 : cstime-2] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}
