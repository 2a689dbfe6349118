//go:build !noembed && unix

package embedded

import (
	"os"
	"strings"
	"testing"
)

// checkListeners looks at every listening TCP socket of this process. Only
// Linux shows them to a program; elsewhere the frontend's address must do.
func checkListeners(t *testing.T, s *Server) {
	if !strings.HasPrefix(s.HostPort(), loopback+":") || !strings.HasPrefix(s.UIAddr(), loopback+":") {
		t.Errorf("frontend %s, web interface %s: want both on %s", s.HostPort(), s.UIAddr(), loopback)
	}
	if _, err := os.Stat("/proc/self/net/tcp"); err != nil {
		t.Logf("cannot list sockets here: %v", err)
		return
	}
	mine := map[string]bool{}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, "socket:[") {
			mine[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] = true
		}
	}
	listening := 0
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile("/proc/self/net/" + table)
		if err != nil {
			continue // no IPv6
		}
		for _, line := range strings.Split(string(text), "\n") {
			const local, state, inode = 1, 3, 9
			f := strings.Fields(line)
			if len(f) <= inode || f[state] != "0A" || !mine[f[inode]] {
				continue
			}
			listening++
			if !strings.HasPrefix(f[local], "0100007F:") {
				t.Errorf("%s socket listens on %s, which is not %s", table, f[local], loopback)
			}
		}
	}
	if listening != 5 { // four services and the web interface
		t.Errorf("%d sockets listen, want 5", listening)
	}
}
