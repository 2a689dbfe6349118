package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ingest/internal/tools/sizeflag"
)

// TestMedian has odd and even numbers, and leaves what it is given as it is.
func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		before := slices.Clone(c.in)
		if got := median(c.in); got != c.want || !slices.Equal(before, c.in) {
			t.Errorf("median of %v is %v", c.in, got)
		}
	}
}

func times(seconds ...float64) []usage {
	var out []usage
	for _, s := range seconds {
		out = append(out, usage{Wall: time.Duration(s * float64(time.Second)), CPU: time.Second})
	}
	return out
}

// TestVerdicts has rows at their limit, behind it, and at that of the disk.
func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name string
		in   result
		rate rates
		want string
		span [3]float64
	}{
		{"at most", result{First: times(9, 8, 7), Second: times(10, 10, 10), Limit: limit{Value: 0.8}}, rates{}, within, [3]float64{0.8, 0.7, 0.9}},
		// Of the pairs' ratios, not the ratio of the medians.
		{"pairs", result{First: times(1, 2, 9), Second: times(2, 8, 9), Limit: limit{Value: 0.4}}, rates{}, over, [3]float64{0.5, 0.25, 1}},
		{"at least", result{First: times(17), Second: times(10), Limit: limit{Value: 1.7, AtLeast: true}}, rates{}, within, [3]float64{1.7, 1.7, 1.7}},
		{"less than at least", result{First: times(16), Second: times(10), Limit: limit{Value: 1.7, AtLeast: true}}, rates{}, over, [3]float64{1.6, 1.6, 1.6}},
		{"no limit", result{First: times(16), Second: times(10)}, rates{}, unheld, [3]float64{1.6, 1.6, 1.6}},
		{"disk", result{First: times(10), Second: times(10), Written: 800, Limit: limit{Value: 0.9, Disk: 1}}, rates{Durable: 100}, atDisk, [3]float64{1, 1, 1}},
		{"not the disk", result{First: times(10), Second: times(10), Written: 700, Limit: limit{Value: 0.9, Disk: 1}}, rates{Durable: 100}, over, [3]float64{1, 1, 1}},
		{"slower than the disk's limit", result{First: times(10.1), Second: times(10), Written: 1000, Limit: limit{Value: 0.9, Disk: 1}}, rates{Durable: 100}, over, [3]float64{1.01, 1.01, 1.01}},
		{"figure", result{Figures: []float64{94, 96, 95}, Limit: limit{Value: 96}, Unit: "MiB"}, rates{}, within, [3]float64{96, 94, 96}},
		{"one figure too high", result{Figures: []float64{94, 97, 95}, Limit: limit{Value: 96}, Unit: "MiB"}, rates{}, over, [3]float64{97, 94, 97}},
	} {
		c.in.sum(c.rate)
		got := [3]float64{c.in.Value, c.in.Low, c.in.High}
		if c.in.Verdict != c.want || got != c.span {
			t.Errorf("%s: %s, %v, not %s, %v", c.name, c.in.Verdict, got, c.want, c.span)
		}
		rep := report{Rows: []result{{Verdict: within}, c.in}}
		if err := rep.verdict(); errors.Is(err, errOver) != (c.want == over) {
			t.Errorf("%s: the run ends with %v", c.name, err)
		}
	}
}

// TestSameMemory has the larger disk take as much as the smaller one, and more.
func TestSameMemory(t *testing.T) {
	row := func(what string, value float64) result {
		return result{Group: groupMemory, What: what, Value: value, Verdict: within}
	}
	rows := []result{row("1 GiB, a", 20), row("1 GiB, b", 20), row("64 GiB, a", 20+sameMemory), row("64 GiB, b", 21+sameMemory), row("64 GiB, c", 90)}
	holdSame(rows)
	for i, r := range rows {
		if (r.Verdict == over) != (i == 3) {
			t.Errorf("%s: %s", r.What, r.Verdict)
		}
	}
	if memoryRow(fullDisk, raw, qcow2).what != "1 GiB, raw → qcow2" || importMemoryRow(wideDisk).what[:7] != "64 GiB," {
		t.Error("rows are called otherwise")
	}
}

// TestRows has names once, a heading for each group, and every pair that is promised.
func TestRows(t *testing.T) {
	rows := allRows()
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.name()] {
			t.Errorf("%s stands there twice", r.name())
		}
		seen[r.name()] = true
		if headings[r.group].about == "" {
			t.Errorf("group %s has no heading", r.group)
		}
	}
	for _, f := range allReadable {
		for _, to := range []format{raw, qcow2} {
			if !seen["convert: "+arrow(f, to)] {
				t.Errorf("%s is missing", arrow(f, to))
			}
		}
		if !seen["1 TiB: "+arrow(f, qcow2)] {
			t.Errorf("1 TiB: %s is missing", f.name)
		}
	}
	got := selected(rows, regexp.MustCompile(`(?i)^convert: RAW → qcow2/z`))
	if len(got) != 2 {
		t.Errorf("%d rows to compressed qcow2", len(got))
	}
	if n := len(selected(rows, nil)); n != len(rows) {
		t.Errorf("%d of %d rows without a pattern", n, len(rows))
	}
}

// TestMarkdown has as many cells in each line as its heading has.
func TestMarkdown(t *testing.T) {
	rep := report{Pairs: 1, Rows: []result{
		{Group: groupConvert, What: "a", First: times(1), Second: times(2), Limit: limit{Value: 0.9}},
		{Group: groupConvert, What: "b", Skipped: "why not"},
		{Group: groupCores, What: "c", First: times(3), Second: []usage{{Wall: time.Second}}, Limit: limit{Value: 1.7, AtLeast: true}},
		{Group: groupMemory, What: "d", Figures: []float64{40}, Unit: "MiB", Limit: limit{Value: 96}},
		{Group: groupMemory, What: "e", Skipped: "why not"},
	}}
	for i := range rep.Rows {
		if rep.Rows[i].Skipped == "" {
			rep.Rows[i].sum(rates{})
		} else {
			rep.Rows[i].judge()
		}
	}
	var out bytes.Buffer
	if err := rep.print(&out, false); err != nil {
		t.Fatal(err)
	}
	bars, lines := 0, 0
	for line := range strings.Lines(out.String()) {
		switch {
		case !strings.HasPrefix(line, "|"):
			bars = 0
		case bars == 0:
			bars = strings.Count(line, "|")
		case strings.Count(line, "|") != bars:
			t.Errorf("%d bars under %d: %s", strings.Count(line, "|"), bars, line)
		default:
			lines++
		}
	}
	if lines != len(rep.Rows)+3 {
		t.Errorf("%d lines in\n%s", lines, out.String())
	}
	for _, want := range []string{"| 0.50 |", "| ≥ 1.7 | within |", "| 40 MiB |", "not measured: why not"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	var back report
	if err := rep.print(&out, true); err != nil || json.Unmarshal(out.Bytes(), &back) != nil || len(back.Rows) != len(rep.Rows) || back.Rows[0].Value != 0.5 {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// small is a bench of a small disk, which converts with qemu-img on both sides.
func small(t *testing.T) *bench {
	t.Helper()
	from := t.TempDir()
	for name, n := range map[string]int{"a": 5 << 20, "b": 3 << 20, "c": 60 << 20} {
		if err := os.WriteFile(filepath.Join(from, name), bytes.Repeat([]byte(name+" some text\n"), n/12), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := newBench(options{ingest: "qemu-img", dir: t.TempDir(), from: from, size: sizeflag.Size(64 * mib), pairs: 2, check: true, cache: "unsafe"})
	if err != nil {
		t.Fatal(err)
	}
	b.err = t.Output()
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// TestSources makes the disk in every format, has each compared with the raw one, and
// leaves nothing behind.
func TestSources(t *testing.T) {
	b := small(t)
	ctx := t.Context()
	disk, err := b.path(ctx, source{mainDisk, raw})
	if err != nil {
		t.Fatal(err)
	}
	// Of the files, a and b fit, c is beyond two thirds.
	if n := allocated(disk); n < 8*mib || n > 40*mib {
		t.Errorf("the disk holds %d bytes", n)
	}
	for _, f := range allReadable {
		path, err := b.path(ctx, source{mainDisk, f})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(warm([]string{path}), compare(ctx, raw, disk, f, path)); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
	}
	if err := compare(ctx, raw, disk, raw, disk[:len(disk)-len("disk.raw")]+"plain.qcow2"); err == nil {
		t.Error("a qcow2 taken as raw is the same")
	}
	if err := b.drop([]row{{sources: []source{{mainDisk, vdi}}}}); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(b.dir, "d*"))
	if err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := b.drop(nil); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(b.dir); err != nil || len(left) != 1 { // the folder for what is written
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestSpread puts the first data of a disk all over another one.
func TestSpread(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	data := bytes.Repeat([]byte("spread"), 50*mib/6)
	if err := os.WriteFile(from, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := spread(t.Context(), from, to, gib, 2*stretch); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(to)
	if err != nil || st.Size() != gib || allocated(to) < 2*stretch || allocated(to) > 2*stretch+mib {
		t.Fatalf("%v, %v, %d", st.Size(), err, allocated(to))
	}
	f, err := os.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, off := range []int64{0, gib / 2} {
		got := make([]byte, stretch)
		if _, err := f.ReadAt(got, off); err != nil || !bytes.Equal(got, data[i*stretch:(i+1)*stretch]) {
			t.Errorf("stretch %d at %d is not the source's, %v", i, off, err)
		}
	}
}

// TestMeasure runs a pair of real conversions in turns, and finds one that writes
// something else.
func TestMeasure(t *testing.T) {
	b := small(t)
	r := durableRow(raw, qcow2)
	r.prepare = func(_ context.Context, b *bench, paths []string) (pair, error) {
		a, c := b.output("a.qcow2"), b.output("c.qcow2")
		return pair{
			written: a,
			first:   b.fileSide(chain{qemuConvert(raw, qcow2, paths[0], a, "unsafe")}, raw, paths[0], qcow2, a),
			second:  b.fileSide(chain{qemuConvert(raw, qcow2, paths[0], c, "writeback")}, raw, paths[0], qcow2, c),
		}, nil
	}
	res, err := b.measure(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.First) != 2 || len(res.Second) != 2 || res.Value <= 0 || res.Written < 8*mib || res.First[0].CPU <= 0 || res.First[0].Peak < mib {
		t.Errorf("%+v", res)
	}
	r.prepare = func(_ context.Context, b *bench, paths []string) (pair, error) {
		a := b.output("a.qcow2")
		return pair{first: b.fileSide(chain{{"qemu-img", "create", "-f", "qcow2", a, "64M"}}, raw, paths[0], qcow2, a), figure: func(usage) float64 { return 1 }}, nil
	}
	if _, err := b.measure(t.Context(), r); err == nil || !strings.Contains(err.Error(), "is not the source") {
		t.Errorf("an empty disk: %v", err)
	}
	if err := compare(t.Context(), raw, b.dir, vdi, b.dir); err == nil || strings.Contains(err.Error(), "is not the source") {
		t.Errorf("what cannot be compared: %v", err)
	}
	if left, err := os.ReadDir(b.work); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestWriting measures the disk both ways, and leaves nothing behind.
func TestWriting(t *testing.T) {
	b := small(t)
	path, err := b.path(t.Context(), source{mainDisk, raw})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.writing(t.Context(), path, 10*mib); err != nil {
		t.Fatal(err)
	}
	if r := b.rate; r.Cached < r.Durable || r.Durable <= 0 || r.best() < r.Durable {
		t.Errorf("%+v", r)
	}
	if left, err := os.ReadDir(b.work); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
