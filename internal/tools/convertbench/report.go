package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A report is everything that was measured.
type report struct {
	Machine string   `json:"machine"`
	Tools   []string `json:"tools"`
	From    string   `json:"from"`
	Size    int64    `json:"size"` // of the disk, bytes
	Data    int64    `json:"data"` // that it holds
	Pairs   int      `json:"pairs"`
	Cache   string   `json:"qemu_cache"`
	Rates   rates    `json:"disk_rates"`
	Rows    []result `json:"rows"`
}

// verdict is errOver if a row is beyond its limit.
func (rep report) verdict() error {
	for _, r := range rep.Rows {
		if r.Verdict == over {
			return errOver
		}
	}
	return nil
}

// headings name the two sides of a group.
var headings = map[string]struct{ about, first, second string }{
	groupConvert:  {"`ingest convert` beside `qemu-img convert -m 16 -W`. ingest takes the content digest and makes the file durable.", "ingest", "qemu-img"},
	groupDurable:  {"The same with `qemu-img -t writeback`: both make the file durable.", "ingest", "qemu-img"},
	groupVerified: {"`ingest convert --verify` beside `qemu-img convert` and then `qemu-img compare`.", "ingest", "qemu-img"},
	groupImport:   {"A whole import over loopback HTTP by `ingest serve`, with content digest and SHA-256, beside curl, `qemu-img convert -m 16 -W` and `openssl dgst -sha256`, one after the other.", "ingest", "by hand"},
	groupGlance:   {"A web-download of a qcow2/zlib of 2 GiB, 700 MiB of it data, to raw, beside Glance with its conversion plugin.", "ingest", "Glance"},
	groupMemory:   {fmt.Sprintf("The peak of resident memory above that of the idle program, the higher one of two runs; at 64 GiB at most %d MiB more than at 1 GiB.", sameMemory), "", ""},
	groupSparse:   {"`ingest convert` of 1 GiB of data in a disk of 1 TiB, beside the same in a disk of 2 GiB.", "1 TiB", "2 GiB"},
	groupCores:    {"`ingest convert` on one core beside two.", "one core", "two cores"},
}

// markdown prints one table for each group.
func (rep report) markdown(w io.Writer) error {
	var s strings.Builder
	fmt.Fprintf(&s, "%s; %s. A disk of %s, %s of it data (%s). Medians of %s; in brackets the span between the fastest and the slowest as a part of the median; qemu-img's cache mode is %s.\n",
		rep.Machine, strings.Join(rep.Tools, "; "), inGiB(rep.Size), inGiB(rep.Data), rep.From, countOf(rep.Pairs, "pair"), rep.Cache)
	fmt.Fprintf(&s, "Writing alone, from one buffer: %s.\n", rep.Rates)
	for _, group := range rep.groups() {
		h := headings[group]
		fmt.Fprintf(&s, "\n**%s.** %s\n\n", group, h.about)
		if h.first == "" {
			s.WriteString("| what | above idle | lowest to highest | at most | verdict |\n|---|--:|--:|--:|---|\n")
		} else {
			fmt.Fprintf(&s, "| what | %s, s | CPU, s | %s, s | CPU, s | ratio | lowest to highest | of CPU | disk | limit | verdict |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n", h.first, h.second)
		}
		for _, r := range rep.Rows {
			if r.Group == group {
				s.WriteString(r.cells(h.first == ""))
			}
		}
	}
	_, err := io.WriteString(w, s.String())
	return err
}

// groups lists those that were measured, in the order of the table.
func (rep report) groups() []string {
	var out []string
	for _, g := range []string{groupConvert, groupDurable, groupVerified, groupImport, groupGlance, groupMemory, groupSparse, groupCores} {
		if slices.ContainsFunc(rep.Rows, func(r result) bool { return r.Group == g }) {
			out = append(out, g)
		}
	}
	return out
}

// cells is one line of a table.
func (r result) cells(figure bool) string {
	cols := []string{r.What}
	empty := 9
	switch {
	case r.Skipped != "":
		if figure {
			empty = 3
		}
		cols = append(append(cols, make([]string, empty)...), skipped+": "+r.Skipped)
	case figure:
		cols = append(cols, fmt.Sprintf("%.0f %s", r.Value, r.Unit), fmt.Sprintf("%.0f to %.0f", r.Low, r.High), r.Limit.String(), r.Verdict)
	default:
		disk := ""
		if r.DiskShare > 0 {
			disk = fmt.Sprintf("%.0f %%", 100*r.DiskShare)
		}
		ofCPU := "-"
		if c := median(cpus(r.Second)); c > 0 {
			ofCPU = fmt.Sprintf("%.2f", median(cpus(r.First))/c)
		}
		cols = append(cols, withSpan(walls(r.First)), inSeconds(cpus(r.First)), withSpan(walls(r.Second)), inSeconds(cpus(r.Second)),
			fmt.Sprintf("%.2f", r.Value), fmt.Sprintf("%.2f to %.2f", r.Low, r.High), ofCPU, disk, r.Limit.String(), r.Verdict)
	}
	return "| " + strings.Join(cols, " | ") + " |\n"
}

func (l limit) String() string {
	switch {
	case l.Value == 0:
		return ""
	case l.AtLeast:
		return fmt.Sprintf("≥ %g", l.Value)
	}
	return fmt.Sprintf("%g", l.Value)
}

// withSpan is a median with its span.
func withSpan(v []float64) string {
	m := median(v)
	return fmt.Sprintf("%.2f (%.0f %%)", m, 100*(slices.Max(v)-slices.Min(v))/m)
}

// inSeconds is a median of processor times; "-" if nobody could tell them.
func inSeconds(v []float64) string {
	if m := median(v); m > 0 {
		return fmt.Sprintf("%.2f", m)
	}
	return "-"
}

func inGiB(n int64) string { return fmt.Sprintf("%.1f GiB", float64(n)/gib) }

func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
