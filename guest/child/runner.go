package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ingest/guest/tree"
)

// A Runner starts children. The program that it starts must call Main and nothing
// else when it gets Args: a test binary does so in its TestMain, or it would run its
// tests again.
type Runner struct {
	Path   string   // of the program, as of os.Executable
	Args   []string // with which the program calls Main
	Limits Limits
}

// List reads the volumes of a disk of size bytes, in order, and returns one listing for
// each. It does not fail: what was not read has NotInspected set. Guest bytes are read
// by this process, as the child asks for them; none are read after List has returned.
func (r Runner) List(ctx context.Context, disk io.ReaderAt, size int64, volumes []tree.Volume) []tree.Listing {
	ctx, cancel := context.WithTimeout(ctx, r.Limits.Wall)
	defer cancel()
	out := make([]tree.Listing, len(volumes))
	s := &session{Runner: r, disk: disk, size: size, left: r.Limits}
	for done := 0; done < len(volumes); {
		if done >= maxVolumes {
			fill(out[done:], fmt.Sprintf("only the first %d volumes are read", maxVolumes))
			return out
		}
		got, why := s.child(ctx, volumes[done:min(len(volumes), maxVolumes)])
		done += copy(out[done:], got)
		if why == "" {
			continue
		}
		if done < len(out) {
			out[done].NotInspected = tree.Text(why)
			done++
		}
		if s.over || ctx.Err() != nil {
			fill(out[done:], "the limits were used up by the volume before it")
			return out
		}
	}
	return out
}

func fill(out []tree.Listing, why string) {
	for i := range out {
		out[i].NotInspected = why
	}
}

// A session is all children of one disk.
type session struct {
	Runner
	disk io.ReaderAt
	size int64
	left Limits // of what is counted over all children
	over bool   // one of these is used up: no other child is started
}

// child runs one child. why says why it did not come to the end of the volumes, ""
// if it did.
func (s *session) child(ctx context.Context, volumes []tree.Volume) (got []tree.Listing, why string) {
	// The signal at the parent's death is tied to the thread that starts the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ours, theirs, err := pair()
	if err != nil {
		s.over = true
		return nil, "no process could be started for it: " + err.Error()
	}
	defer ours.Close()
	words := &head{room: 16 << 10}
	cmd := exec.CommandContext(ctx, s.Path, s.Args...)
	cmd.Env, cmd.Dir, cmd.Stderr, cmd.ExtraFiles = []string{}, "/", words, []*os.File{theirs}
	cmd.WaitDelay = time.Second
	tie(cmd)
	err = cmd.Start()
	theirs.Close()
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, s.late()
	}
	if err != nil {
		s.over = true
		return nil, "no process could be started for it: " + err.Error()
	}
	got, refusal := s.serve(ours, volumes)
	if refusal != "" || len(got) == len(volumes) {
		cmd.Process.Kill() // it has nothing left to say
	}
	err = cmd.Wait()
	switch {
	case refusal != "":
		return got, refusal
	case len(got) == len(volumes):
		return got, ""
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return got, s.late()
	case ctx.Err() != nil:
		return got, "interrupted"
	}
	return got, s.death(cmd.ProcessState, words.String(), err)
}

// late says that the time was over.
func (s *session) late() string { return fmt.Sprintf("it took longer than %v", s.Limits.Wall) }

// death says in words how a child ended that was not killed from here.
func (s *session) death(state *os.ProcessState, words string, err error) string {
	switch {
	case forbidden(state):
		return "its reader asked the system for what no reader needs, and was ended"
	// One that has said what it died of was not ended for its processor time.
	case strings.Contains(words, "out of memory") || strings.Contains(words, "cannot allocate memory"):
		return fmt.Sprintf("it took more than %d MiB of memory", s.Limits.Memory>>20)
	case strings.Contains(words, "stack exceeds"):
		return "its reader called itself without end"
	case state != nil && state.UserTime()+state.SystemTime() >= s.Limits.CPU-500*time.Millisecond:
		return fmt.Sprintf("it took more than %v of processor time", s.Limits.CPU)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(words), "\n")
	if line == "" && err != nil {
		line = err.Error()
	}
	return "its reader failed: " + line
}

// pair returns both ends of a socket: ours can be read with others waiting, theirs is
// for a child.
func pair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "child"), os.NewFile(uintptr(fds[1]), "parent"), nil
}

// A head keeps the begin of what is written to it.
type head struct {
	bytes.Buffer
	room int
}

// Write never fails, so that the child is not stopped by its own words.
func (h *head) Write(p []byte) (int, error) {
	n := min(len(p), h.room-h.Len())
	h.Buffer.Write(p[:n])
	return len(p), nil
}
