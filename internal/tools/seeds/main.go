// Command seeds chooses which inputs of the fuzzer's cache are worth keeping,
// and packs them: one archive a target below testdata/fuzz, which the target
// loads as its seeds. `scripts/fuzz --keep` calls it.
//
// Candidates are the inputs of the archive as it stands and those that the
// fuzzer found. Shortest first, each is kept if it reaches something that no
// earlier one reached, by the fuzzer's own count of edges.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ingest/formats/formattest"
)

func main() {
	cache := flag.String("cache", "", "the fuzzer's cache; empty for that of the go command")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *cache, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "seeds: "+err.Error())
		os.Exit(1)
	}
}

// run packs the seeds of the packages, which are folders below the root of the
// module, the working folder; of all that have targets with seeds if none are
// given.
func run(ctx context.Context, cache string, pkgs []string) error {
	if cache == "" {
		out, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
		if err != nil {
			return err
		}
		cache = filepath.Join(strings.TrimSpace(string(out)), "fuzz")
	}
	found, err := targets()
	if err != nil {
		return err
	}
	if len(pkgs) == 0 {
		for pkg := range found {
			pkgs = append(pkgs, pkg)
		}
		slices.Sort(pkgs)
	}
	for _, pkg := range pkgs {
		pkg = filepath.Clean(pkg)
		if len(found[pkg]) == 0 {
			return fmt.Errorf("%s has no fuzz target that calls formattest.Seeds", pkg)
		}
		if err := keep(ctx, cache, pkg, found[pkg]); err != nil {
			return fmt.Errorf("%s: %w", pkg, err)
		}
	}
	return nil
}

// target matches a fuzz target that loads seeds.
var target = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\) \{\n\tformattest\.Seeds\(f\)$`)

// targets returns the names of the targets with seeds, by package folder.
func targets() (map[string][]string, error) {
	found := map[string][]string{}
	for _, root := range []string{"formats", "detect", "unwrap", "guest", "internal/deflate", "internal/zstandard"} {
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			for _, m := range target.FindAllSubmatch(b, -1) {
				dir := filepath.Dir(path)
				found[dir] = append(found[dir], string(m[1]))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// keep packs the seeds of one package's targets.
func keep(ctx context.Context, cache, pkg string, names []string) error {
	tmp, err := os.MkdirTemp("", "ingest-seeds-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	bin := filepath.Join(tmp, "fuzz.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-fuzz", ".", "-o", bin, "./"+pkg)
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	for _, name := range names {
		archive := filepath.Join(formattest.SeedsDir, pkg, name+".tar.zst")
		all, err := candidates(archive, filepath.Join(cache, "ingest", pkg, name))
		if err != nil {
			return err
		}
		kept, err := choose(ctx, bin, pkg, name, tmp, all)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		packed, n, err := fit(kept)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(archive, packed, 0o644); err != nil {
			return err
		}
		fmt.Printf("%-20s %-18s %4d candidates, %4d reach something else, %4d kept in %d bytes\n", pkg, name, len(all), len(kept), n, len(packed))
	}
	return nil
}

// candidates returns the inputs of the archive and of the cache that can be
// decoded, shortest first; either may be absent.
func candidates(archive, dir string) ([][]byte, error) {
	var all [][]byte
	b, err := os.ReadFile(archive)
	if err == nil {
		if all, err = formattest.UnpackSeeds(b); err != nil {
			return nil, fmt.Errorf("%s: %w", archive, err)
		}
	} else if !os.IsNotExist(err) {
		return nil, err
	}
	files, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, err
		}
		// What the cache holds may be of a target as it was.
		if _, err := formattest.SeedArgs(b); err == nil {
			all = append(all, b)
		}
	}
	formattest.SortSeeds(all)
	return slices.CompactFunc(all, bytes.Equal), nil
}

// fit packs as many of the inputs, shortest first, as an archive may hold, and
// returns how many those are.
func fit(inputs [][]byte) ([]byte, int, error) {
	for n := len(inputs); n > 0; n -= n/20 + 1 {
		packed, err := formattest.PackSeeds(inputs[:n])
		if err != nil || len(packed) <= formattest.MaxSeeds {
			return packed, n, err
		}
	}
	return nil, 0, fmt.Errorf("none of %d inputs is worth keeping and below %d bytes", len(inputs), formattest.MaxSeeds)
}
