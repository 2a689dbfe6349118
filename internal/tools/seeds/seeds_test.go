package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/formats/formattest"
)

func input(p string) []byte { return fmt.Appendf(nil, "go test fuzz v1\n[]byte(%q)\n", p) }

func TestGatherKeepsWhatSetsBits(t *testing.T) {
	const log = `fuzz: elapsed: 0s, gathering baseline coverage: 0/4 completed
2026-01-01 00:00:00 DEBUG processed an initial input, id: , new bits: 262, size: 0, exec time: 214.93µs
2026-01-01 00:00:00 DEBUG processed an initial input, id: , new bits: 0, size: 0, exec time: 1µs
2026-01-01 00:00:00 DEBUG processed an initial input, id: , new bits: 1, size: 0, exec time: 1µs
2026-01-01 00:00:00 DEBUG processed an initial input, id: , new bits: 9, size: 0, exec time: 1µs
fuzz: elapsed: 0s, gathering baseline coverage: 4/4 completed, now fuzzing with 1 workers
fuzz: elapsed: 1s, execs: 4 (4/sec), new interesting: 0 (total: 4)
`
	inputs := [][]byte{input("a"), input("b"), input("c")}
	stopped := 0
	kept, seen, tail := gather(strings.NewReader(log), inputs, func() { stopped++ })
	if d := cmp.Diff([][]byte{inputs[0], inputs[2]}, kept); d != "" {
		t.Error(d)
	}
	if seen != 3 || stopped != 1 || !strings.Contains(tail, "execs: 4") {
		t.Errorf("%d inputs seen, stopped %d times, last lines %q", seen, stopped, tail)
	}
	if _, seen, _ := gather(strings.NewReader("--- FAIL: FuzzOpen\n"), inputs, func() { t.Error("stopped") }); seen != 0 {
		t.Errorf("%d inputs seen in a run that failed", seen)
	}
}

func TestCandidatesAreOfArchiveAndCache(t *testing.T) {
	dir := t.TempDir()
	archive, cache := filepath.Join(dir, "a.tar.zst"), filepath.Join(dir, "cache")
	packed, err := formattest.PackSeeds([][]byte{input("b"), input("longer")})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, b := range map[string][]byte{
		archive: packed, filepath.Join(cache, "1"): input("a"), filepath.Join(cache, "2"): input("b"),
		filepath.Join(cache, "3"): []byte("go test fuzz v1\nfloat64(1)\n"),
	} {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := candidates(archive, cache)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([][]byte{input("a"), input("b"), input("longer")}, got); d != "" {
		t.Error(d)
	}
	if got, err := candidates(filepath.Join(dir, "none"), filepath.Join(dir, "none")); err != nil || len(got) != 0 {
		t.Errorf("without archive and cache: %d candidates, %v", len(got), err)
	}
	if err := os.WriteFile(archive, packed[:len(packed)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := candidates(archive, cache); err == nil {
		t.Error("half an archive is taken")
	}
}

func TestFitDropsTheLongest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var inputs [][]byte
	for n := 1; n <= 40; n++ {
		noise := make([]byte, n*1000)
		for i := range noise {
			noise[i] = byte(rng.Uint32())
		}
		inputs = append(inputs, input(string(noise)))
	}
	packed, n, err := fit(inputs)
	if err != nil {
		t.Fatal(err)
	}
	got, err := formattest.UnpackSeeds(packed)
	if err != nil {
		t.Fatal(err)
	}
	if len(packed) > formattest.MaxSeeds || n < 10 || n >= 40 {
		t.Errorf("%d of %d inputs are kept in %d bytes", n, len(inputs), len(packed))
	}
	if d := cmp.Diff(inputs[:n], got); d != "" {
		t.Error(d)
	}
	if _, _, err := fit(nil); err == nil {
		t.Error("nothing fits")
	}
}
