package main

import (
	"fmt"
	"slices"
	"strings"
)

// A result is a row with its figures.
type result struct {
	Group    string    `json:"group"`
	What     string    `json:"what"`
	FirstIs  string    `json:"first_is,omitempty"`
	SecondIs string    `json:"second_is,omitempty"`
	First    []usage   `json:"first,omitempty"`
	Second   []usage   `json:"second,omitempty"`
	Figures  []float64 `json:"figures,omitempty"`
	Unit     string    `json:"unit,omitempty"`
	Written  int64     `json:"written_bytes,omitempty"` // that the disk had to take from the first
	Limit    limit     `json:"limit"`
	Skipped  string    `json:"skipped,omitempty"` // why there are none

	// What sum makes of them.
	Value     float64 `json:"value"` // the median of the pairs' ratios, or the largest figure
	Low       float64 `json:"low"`
	High      float64 `json:"high"`
	DiskShare float64 `json:"disk_share,omitempty"` // of the first one's time, which only writing as much takes
	Verdict   string  `json:"verdict"`
}

// The verdicts.
const (
	within  = "within"
	over    = "over"
	unheld  = "no limit"
	atDisk  = "within (disk)"
	skipped = "not measured"
)

// diskShare is the part of the time from which on writing to the disk is what limits.
const diskShare = 0.75

// sum takes medians, and judges.
func (r *result) sum(rate rates) {
	values := r.Figures
	if len(r.Second) > 0 {
		values = nil
		for i := range r.First {
			values = append(values, r.First[i].Wall.Seconds()/r.Second[i].Wall.Seconds())
		}
	}
	r.Value, r.Low, r.High = median(values), slices.Min(values), slices.Max(values)
	if len(r.Figures) > 0 {
		r.Value = r.High
	}
	if r.Written > 0 && rate.best() > 0 {
		r.DiskShare = float64(r.Written) / rate.best() / median(walls(r.First))
	}
	r.judge()
}

// judge compares the value with the limit.
func (r *result) judge() {
	switch l := r.Limit; {
	case r.Skipped != "":
		r.Verdict = skipped
	case l.Value == 0:
		r.Verdict = unheld
	case l.AtLeast && r.Value >= l.Value || !l.AtLeast && r.Value <= l.Value:
		r.Verdict = within
	case l.Disk > 0 && r.Value <= l.Disk && r.DiskShare >= diskShare:
		r.Verdict = atDisk
	default:
		r.Verdict = over
	}
}

// sameMemory is how much more a disk of 64 GiB may take than one of 1 GiB, MiB: what two
// runs of one conversion differ by.
const sameMemory = 16

// holdSame judges the figures of the larger disk beside those of the smaller one.
func holdSame(rows []result) {
	for i, r := range rows {
		rest, ok := strings.CutPrefix(r.What, wideDisk.String())
		if !ok || r.Group != groupMemory || r.Skipped != "" {
			continue
		}
		j := slices.IndexFunc(rows, func(s result) bool {
			return s.Group == r.Group && s.What == fullDisk.String()+rest && s.Skipped == ""
		})
		if j >= 0 && r.Value > rows[j].Value+sameMemory {
			rows[i].Verdict = over
		}
	}
}

// line is the result in short, for those who wait.
func (r *result) line() string {
	switch {
	case r.Skipped != "":
		return skipped + ": " + r.Skipped
	case r.Unit != "":
		return fmt.Sprintf("%.1f %s, %s", r.Value, r.Unit, r.Verdict)
	}
	return fmt.Sprintf("%.2f s and %.2f s, CPU %.2f s and %.2f s, ratio %.2f, %s",
		median(walls(r.First)), median(walls(r.Second)), median(cpus(r.First)), median(cpus(r.Second)), r.Value, r.Verdict)
}

func walls(us []usage) []float64 {
	var out []float64
	for _, u := range us {
		out = append(out, u.Wall.Seconds())
	}
	return out
}

func cpus(us []usage) []float64 {
	var out []float64
	for _, u := range us {
		out = append(out, u.CPU.Seconds())
	}
	return out
}

// median returns the middle one, of an even number the mean of both in the middle; 0 of none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
