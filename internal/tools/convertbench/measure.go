package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ingest/internal/fsutil"
)

// errSkip says that a row cannot be measured here; what wraps it says why.
var errSkip = errors.New("not measured")

// figureRuns is how often a row runs whose figure is not a time.
const figureRuns = 2

// measure runs a row's pairs.
func (b *bench) measure(ctx context.Context, r row) (result, error) {
	res := result{Group: r.group, What: r.what, Limit: r.limit}
	paths := make([]string, len(r.sources))
	for i, s := range r.sources {
		var err error
		if paths[i], err = b.path(ctx, s); err != nil {
			return res, err
		}
	}
	p, err := r.prepare(ctx, b, paths)
	if errors.Is(err, errSkip) {
		res.Skipped = strings.TrimPrefix(err.Error(), errSkip.Error()+": ")
		return res, nil
	}
	if err != nil {
		return res, err
	}
	if p.close != nil {
		defer p.close()
	}
	res.FirstIs, res.SecondIs, res.Unit = p.first.is, p.second.is, p.unit
	if err := warm(paths); err != nil {
		return res, err
	}
	runs := b.o.pairs
	if p.figure != nil {
		runs = min(runs, figureRuns)
	}
	for i := range runs {
		if err := b.once(ctx, i, p, &res); err != nil {
			return res, err
		}
	}
	res.sum(b.rate)
	return res, nil
}

// once runs both of a pair; which one is the first takes turns.
func (b *bench) once(ctx context.Context, i int, p pair, res *result) error {
	first := func() error {
		u, err := b.side(ctx, p.first, i == 0, func() {
			if p.written != "" {
				res.Written = allocated(p.written)
			}
		})
		res.First = append(res.First, u)
		if p.figure != nil {
			res.Figures = append(res.Figures, p.figure(u))
		}
		return err
	}
	if p.second.run == nil {
		return first()
	}
	second := func() error {
		u, err := b.side(ctx, p.second, i == 0, func() {})
		res.Second = append(res.Second, u)
		return err
	}
	if i%2 == 1 {
		first, second = second, first
	}
	if err := first(); err != nil {
		return err
	}
	return second()
}

// side runs one side, on a disk that has nothing left to write.
func (b *bench) side(ctx context.Context, s side, check bool, look func()) (usage, error) {
	if err := b.settle(); err != nil {
		return usage{}, err
	}
	u, err := s.run(ctx)
	if err != nil {
		return u, err
	}
	look()
	if s.after == nil {
		return u, nil
	}
	return u, s.after(ctx, check && b.o.check)
}

// settle has the file system write what it holds back.
func (b *bench) settle() error {
	f, err := os.Open(b.work)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// output is a file that a side writes.
func (b *bench) output(name string) string {
	path := filepath.Join(b.work, name)
	_ = os.Remove(path)
	return path
}

// remove removes files whatever came before.
func remove(err error, files ...string) error {
	for _, f := range files {
		err = errors.Join(err, os.RemoveAll(f))
	}
	return err
}

func allocated(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return fsutil.Allocated(st)
}

// cores returns one processor and two, of those that this process may use, as taskset
// wants them.
func cores() (one, two string, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return "", "", err
	}
	var found []string
	for i := 0; i < 8*len(set)*8 && len(found) < 2; i++ {
		if set.IsSet(i) {
			found = append(found, strconv.Itoa(i))
		}
	}
	if len(found) < 2 {
		return "", "", fmt.Errorf("%w: needs two processors", errSkip)
	}
	return found[0], found[0] + "," + found[1], nil
}
