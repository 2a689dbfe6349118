package main

import (
	"context"
	"fmt"
)

// A row is one pair of the table, or one figure.
type row struct {
	group   string
	what    string
	sources []source // that must be there, and warm
	limit   limit
	// prepare is called once, and says how each of the two runs.
	prepare func(ctx context.Context, b *bench, paths []string) (pair, error)
}

func (r row) name() string { return r.group + ": " + r.what }

// A limit is what the ratio of the first to the second of a pair, or a figure, may be.
// The zero value is no limit.
type limit struct {
	Value   float64 `json:"value,omitempty"`
	AtLeast bool    `json:"at_least,omitempty"` // else at most
	// Disk is the limit instead of Value where writing to the disk takes most of the
	// first one's time; 0 for none.
	Disk float64 `json:"disk,omitempty"`
}

// A side runs one of a pair once. What it wrote is checked and removed by after.
type side struct {
	is    string // what it does, for the reader
	run   func(ctx context.Context) (usage, error)
	after func(ctx context.Context, check bool) error
}

// A pair is what a row compares; without a second side it is a figure.
type pair struct {
	first, second side
	// written is the file of the first side whose bytes the disk had to take, "" for none.
	written string
	// figure, if set, makes the row's figure from what the first side took.
	figure func(u usage) float64
	unit   string // of the figure
	close  func()
}

// The groups of rows.
const (
	groupConvert  = "convert"
	groupDurable  = "convert, both durable"
	groupVerified = "convert and compare"
	groupImport   = "import"
	groupGlance   = "glance"
	groupMemory   = "memory"
	groupSparse   = "1 TiB"
	groupCores    = "cores"
)

// allRows lists the table in the order in which it is measured: what needs the same
// source stands together.
func allRows() []row {
	var rows []row
	for _, f := range allReadable {
		for _, to := range targetsOf(f) {
			rows = append(rows, convertRow(f, to))
		}
		for _, r := range durablePairs {
			if r[0].name == f.name {
				rows = append(rows, durableRow(r[0], r[1]))
			}
		}
		switch f.name {
		case raw.name:
			for _, to := range []format{qcow2zlib, vmdkStream, qcow2} {
				rows = append(rows, coresRow(raw, to))
			}
		case qcow2zlib.name:
			rows = append(rows, coresRow(qcow2zlib, raw), verifiedRow(qcow2zlib, raw),
				importRow("", 0.5), importRow("stored", 0.4))
		}
	}
	rows = append(rows, glanceRow())
	for _, d := range []disk{fullDisk, wideDisk} {
		for _, p := range memoryPairs {
			rows = append(rows, memoryRow(d, p[0], p[1]))
		}
	}
	for _, d := range []disk{fullDisk, wideDisk} {
		rows = append(rows, importMemoryRow(d))
	}
	for _, f := range allReadable {
		rows = append(rows, sparseRow(f))
	}
	return rows
}

// durablePairs are converted with the same durability too, memoryPairs with an eye on
// memory.
var (
	durablePairs = [][2]format{{raw, qcow2}, {qcow2zlib, raw}, {qcow2, raw}}
	memoryPairs  = [][2]format{{qcow2zlib, raw}, {raw, qcow2zlib}, {raw, vmdkStream}, {vhdx, qcow2}}
)

// targetsOf lists what a format is converted to: raw and qcow2, and a raw disk also to
// what is compressed.
func targetsOf(f format) []format {
	if f.name == raw.name {
		return []format{raw, qcow2, qcow2zlib, vmdkStream, qcow2zstd}
	}
	return []format{raw, qcow2}
}

// limitOf is what a conversion may take beside qemu-img's.
func limitOf(from, to format) limit {
	switch {
	case to.name == qcow2zlib.name:
		return limit{Value: 0.35}
	case to.name == vmdkStream.name:
		return limit{Value: 0.2}
	case to.name == qcow2zstd.name:
		return limit{Value: 0.8}
	case from.name == qcow2zlib.name || from.name == vmdkStream.name:
		return limit{Value: 0.5, Disk: 1}
	}
	return limit{Value: 0.9, Disk: 1}
}

func arrow(from, to format) string { return from.name + " → " + to.name }

func convertRow(from, to format) row {
	return row{group: groupConvert, what: arrow(from, to), sources: []source{{mainDisk, from}}, limit: limitOf(from, to),
		prepare: func(_ context.Context, b *bench, paths []string) (pair, error) {
			return b.conversions(from, to, paths[0], b.o.cache), nil
		}}
}

// durableRow has both sides make the file durable, as ingest always does.
func durableRow(from, to format) row {
	r := convertRow(from, to)
	r.group = groupDurable
	r.prepare = func(_ context.Context, b *bench, paths []string) (pair, error) {
		return b.conversions(from, to, paths[0], "writeback"), nil
	}
	return r
}

// conversions are ingest convert and qemu-img convert.
func (b *bench) conversions(from, to format, src, cache string) pair {
	ours, theirs := b.output("ours-"+to.ext), b.output("theirs-"+to.ext)
	return pair{
		written: ours,
		first:   b.fileSide(chain{b.ingestConvert(to, src, ours)}, from, src, to, ours),
		second:  b.fileSide(chain{qemuConvert(from, to, src, theirs, cache)}, from, src, to, theirs),
	}
}

// fileSide runs programs that make the file out of the file src.
func (b *bench) fileSide(c chain, from format, src string, to format, out string, more ...string) side {
	return side{
		is:  fmt.Sprint(c),
		run: c.run,
		after: func(ctx context.Context, check bool) error {
			var err error
			if check {
				err = compare(ctx, from, src, to, out)
			}
			return remove(err, append(more, out)...)
		},
	}
}

// verifiedRow has both read back and compare what they wrote.
func verifiedRow(from, to format) row {
	return row{group: groupVerified, what: arrow(from, to), sources: []source{{mainDisk, from}},
		prepare: func(_ context.Context, b *bench, paths []string) (pair, error) {
			src, ours, theirs := paths[0], b.output("ours-"+to.ext), b.output("theirs-"+to.ext)
			return pair{
				written: ours,
				first:   b.fileSide(chain{b.ingestConvert(to, src, ours, "--verify")}, from, src, to, ours),
				second: b.fileSide(chain{qemuConvert(from, to, src, theirs, b.o.cache),
					{"qemu-img", "compare", "-f", from.qemu, "-F", to.qemu, src, theirs}}, from, src, to, theirs),
			}, nil
		}}
}

// sparseRow compares a vast disk with a narrow one of the same data.
func sparseRow(from format) row {
	return row{group: groupSparse, what: arrow(from, qcow2), limit: limit{Value: 1.5},
		sources: []source{{vastDisk, from}, {narrowDisk, from}},
		prepare: func(_ context.Context, b *bench, paths []string) (pair, error) {
			vast, narrow := b.output("vast.qcow2"), b.output("narrow.qcow2")
			return pair{
				first:  b.fileSide(chain{b.ingestConvert(qcow2, paths[0], vast)}, from, paths[0], qcow2, vast),
				second: b.fileSide(chain{b.ingestConvert(qcow2, paths[1], narrow)}, from, paths[1], qcow2, narrow),
			}, nil
		}}
}

// coresRow compares one core with two.
func coresRow(from, to format) row {
	r := row{group: groupCores, what: arrow(from, to), sources: []source{{mainDisk, from}}, limit: limit{Value: 1.7, AtLeast: true}}
	if to.name == qcow2.name {
		r.limit = limit{} // the disk's limit, not the cores'
	}
	r.prepare = func(_ context.Context, b *bench, paths []string) (pair, error) {
		one, two, err := cores()
		if err != nil {
			return pair{}, err
		}
		slow, fast := b.output("one-"+to.ext), b.output("two-"+to.ext)
		pinned := func(cpus, out string) side {
			c := append(command{"taskset", "-c", cpus}, b.ingestConvert(to, paths[0], out)...)
			return b.fileSide(chain{c}, from, paths[0], to, out)
		}
		return pair{first: pinned(one, slow), second: pinned(two, fast)}, nil
	}
	return r
}

// memoryRow is what one conversion takes above `ingest version`.
func memoryRow(d disk, from, to format) row {
	return row{group: groupMemory, what: fmt.Sprintf("%s, %s", d, arrow(from, to)), limit: limit{Value: memoryLimit},
		sources: []source{{d, from}},
		prepare: func(ctx context.Context, b *bench, paths []string) (pair, error) {
			idle, err := command{b.o.ingest, "version"}.run(ctx)
			if err != nil {
				return pair{}, err
			}
			out := b.output("ours-" + to.ext)
			return pair{
				first:  b.fileSide(chain{b.ingestConvert(to, paths[0], out)}, from, paths[0], to, out),
				figure: func(u usage) float64 { return float64(u.Peak-idle.Peak) / mib },
				unit:   "MiB",
			}, nil
		}}
}

// memoryLimit is what a conversion or an import may take above an idle program, MiB.
const memoryLimit = 96
