package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"ingest/formats/formattest"
)

// measured matches what the fuzzer says, under GODEBUG=fuzzdebug=1, of each
// input that it starts with: how many bits of its map of edges and counts were
// not set before.
var measured = regexp.MustCompile(`processed an initial input, .*new bits: (\d+),`)

// choose runs the target over sorted inputs, in their order, and returns those
// that set bits which no earlier one set. It uses dir for files of its own.
func choose(ctx context.Context, bin, pkg, name, dir string, inputs [][]byte) ([][]byte, error) {
	packed, err := formattest.PackSeeds(inputs)
	if err != nil {
		return nil, err
	}
	archive := filepath.Join(dir, name+".candidates")
	if err := os.WriteFile(archive, packed, 0o644); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// One worker, so that inputs are run in order; a cache that does not exist
	// and is not filled either, since the run is stopped where fuzzing begins.
	cmd := exec.CommandContext(ctx, bin, "-test.run=^$", "-test.fuzz=^"+name+"$", "-test.parallel=1",
		"-test.fuzzcachedir="+filepath.Join(dir, "cache"), "-test.fuzzminimizetime=1x")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Dir = pkg
	cmd.Env = append(os.Environ(), "GODEBUG=fuzzdebug=1", formattest.SeedsEnv+"="+archive)
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	kept, seen, tail := gather(stderr, inputs, cancel)
	err = cmd.Wait()
	if seen != len(inputs) {
		return nil, errors.Join(fmt.Errorf("%d of %d inputs were measured:\n%s%s", seen, len(inputs), tail, stdout.String()), err)
	}
	return kept, nil
}

// gather reads what the fuzzer says until it has run all that it starts with,
// and then calls stop. It returns the inputs with bits of their own, how many
// inputs it was told of, and the last lines. Seeds that the target itself adds
// come behind the inputs.
func gather(log io.Reader, inputs [][]byte, stop func()) (kept [][]byte, seen int, tail string) {
	var last []string
	for lines := bufio.NewScanner(log); lines.Scan(); {
		line := lines.Text()
		if strings.Contains(line, "now fuzzing with") {
			stop()
		}
		m := measured.FindStringSubmatch(line)
		if m == nil {
			last = append(last, line)
			last = last[max(0, len(last)-20):]
			continue
		}
		if seen == len(inputs) {
			continue
		}
		if m[1] != "0" {
			kept = append(kept, inputs[seen])
		}
		seen++
	}
	return kept, seen, strings.Join(last, "\n") + "\n"
}
