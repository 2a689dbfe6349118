package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// limit is how much more an item may cost than a bare workflow.
const limit = 1.5

// errOver says that it costs more.
var errOver = errors.New("an item costs more than it may")

// sizeOfFiles adds up the files that a pattern names.
func sizeOfFiles(pattern string) (sum int64) {
	names, _ := filepath.Glob(pattern) // the pattern is ours
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

// A pair is a bulk, and bare workflows beside it: with as many activities of each kind, on
// queues like those of imports, and the cheapest that there are, without local activities
// and with those that the service hands out without being asked.
type pair struct{ bulk, bare, eager cost }

// compare runs the pairs, each side first in turns, and prints them side by side. over says
// that the median ratio is beyond its limit.
func (b *bench) compare(ctx context.Context) (over, err error) {
	warm, err := b.runBulk(ctx, 2*b.o.window, 0)
	if err != nil {
		return nil, err
	}
	s := warm.shape
	n := b.o.pairItems
	b.say("An import of a disk of %d KiB runs %d activities and %d local ones.", diskSize>>10, s.Activities, s.Locals)
	b.say("%d pairs of %d items, %d at a time. CPU seconds an item, of the Temporal server and of the worker with API and catalogue.\n", b.o.pairs, n, b.o.window)
	b.say("| pair | side | items/s | Temporal | worker | together | import beside it |\n|--:|---|--:|--:|--:|--:|--:|")
	var bare, eager []float64
	for i := range b.o.pairs {
		p, err := b.pair(ctx, n, s, i%2 == 1)
		if err != nil {
			return nil, err
		}
		b.row(i+1, "import", n, p.bulk, 0)
		b.row(i+1, "bare", n, p.bare, ratio(p.bulk, p.bare))
		b.row(i+1, "bare, eager", n, p.eager, ratio(p.bulk, p.eager))
		bare = append(bare, ratio(p.bulk, p.bare))
		eager = append(eager, ratio(p.bulk, p.eager))
	}
	b.say("\nAn import costs (median):")
	if median(bare) > limit {
		over = errOver
	}
	b.verdict(bare, "a bare workflow with as many activities, of both kinds, on queues of their own as an import's are")
	b.verdict(eager, "one without local activities, whose activities stay on the workflow's queue and are handed out eagerly")
	b.say("")
	return over, nil
}

func (b *bench) verdict(ratios []float64, of string) {
	got, word := median(ratios), "within"
	if got > limit {
		word = "over"
	}
	b.say("- %.2f of %s (at most %.1f: %s)", got, of, limit, word)
}

// pair runs the sides of one pair.
func (b *bench) pair(ctx context.Context, n int, s shape, backwards bool) (p pair, err error) {
	sides := []func() error{
		func() error {
			side, err := b.runBulk(ctx, n, 0)
			p.bulk = side.cost
			return err
		},
		func() error { p.bare, err = b.runBare(ctx, n, s); return err },
		func() error {
			p.eager, err = b.runBare(ctx, n, shape{Activities: s.Activities, Eager: true})
			return err
		},
	}
	if backwards {
		slices.Reverse(sides)
	}
	for _, side := range sides {
		if err := side(); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (b *bench) row(n int, side string, items int, c cost, ratio float64) {
	each, beside := c.each(items), ""
	if ratio > 0 {
		beside = fmt.Sprintf("%.2f", ratio)
	}
	b.say("| %d | %s | %.1f | %.4f | %.4f | %.4f | %s |", n, side, float64(items)/c.Took.Seconds(), each.Temporal.Seconds(), each.Worker.Seconds(), each.cpu().Seconds(), beside)
}

func ratio(a, b cost) float64 { return float64(a.cpu()) / float64(b.cpu()) }

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	n := len(all)
	if n%2 == 1 {
		return all[n/2]
	}
	return (all[n/2-1] + all[n/2]) / 2
}

// large runs the large bulk and prints what it has left and taken.
func (b *bench) large(ctx context.Context) error {
	side, err := b.runBulk(ctx, b.o.items, b.o.longest)
	if err != nil {
		return err
	}
	n := max(side.items, 1)
	each, most, all := side.each(n), largest(side.parent), sum(side.parent)
	b.say("%d of %d disks of %d KiB, %d at a time, in %s: %.1f items/s, %.4f CPU seconds an item (%.4f of the Temporal server, %.4f of the worker).\n",
		n, side.bulk.Total, diskSize>>10, b.o.window, side.Took.Round(time.Second), float64(n)/side.Took.Seconds(), each.cpu().Seconds(), each.Temporal.Seconds(), each.Worker.Seconds())
	b.say("| history | runs | events, longest | bytes, longest | events an item | bytes an item |\n|---|--:|--:|--:|--:|--:|")
	b.say("| BulkImport | %d | %d | %d | %.1f | %.0f |", len(side.parent), most.Events, most.Bytes, float64(all.Events)/float64(n), float64(all.Bytes)/float64(n))
	b.say("| ImportImage | 1 | %d | %d | | |\n", side.child.Events, side.child.Bytes)
	b.say("| done | worker, MiB resident | Temporal server, MiB resident |\n|--:|--:|--:|")
	for _, m := range side.memory {
		b.say("| %d | %d | %d |", m.Done, m.Worker>>20, m.Temporal>>20)
	}
	b.say("")
	for _, s := range side.stored {
		b.say("%s: %.1f MiB, %.0f bytes an item", s.Name, float64(s.Bytes)/(1<<20), float64(s.Bytes)/float64(n))
	}
	return nil
}
