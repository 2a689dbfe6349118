package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A usage is what one run took.
type usage struct {
	Wall time.Duration `json:"wall_ns"`
	CPU  time.Duration `json:"cpu_ns"` // of the program and its children, in user and system
	// Peak is the largest resident memory, bytes; of several programs one after the
	// other, that of the largest.
	Peak int64 `json:"peak_bytes,omitempty"`
}

// then adds what came behind it.
func (u usage) then(v usage) usage {
	return usage{Wall: u.Wall + v.Wall, CPU: u.CPU + v.CPU, Peak: max(u.Peak, v.Peak)}
}

// A command is a program with its arguments.
type command []string

func (c command) String() string { return strings.Join(c, " ") }

// run runs a program to its end and tells what it took.
func (c command) run(ctx context.Context) (usage, error) {
	cmd := exec.CommandContext(ctx, c[0], c[1:]...)
	var words strings.Builder
	cmd.Stderr = &words
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return usage{}, fmt.Errorf("%s: %w\n%s", c, err, words.String())
	}
	u := usage{Wall: time.Since(began), CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.Peak = r.Maxrss << 10
	}
	return u, nil
}

// A chain is several programs, one after the other.
type chain []command

func (c chain) run(ctx context.Context) (usage, error) {
	var sum usage
	for _, cmd := range c {
		u, err := cmd.run(ctx)
		if err != nil {
			return sum, err
		}
		sum = sum.then(u)
	}
	return sum, nil
}

// output runs a program for what it prints.
func (c command) output(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, c[0], c[1:]...).Output()
	return string(out), err
}
