package bulk

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Report is what is told of a bulk to people who were not there.
type Report struct {
	ID, Name, Status, Message, Owner string
	Created                          time.Time
	Ended                            *time.Time
	Bytes                            int64
	Limits                           string // for people, "" for none
	States                           map[string]int
	Items                            []ReportItem
}

// A ReportItem is a source in a report. Nothing in it is secret.
type ReportItem struct {
	N                              int
	Key, State, Source, Name, Host string
	TaskID, ImageID                string
	Attempt                        int
	Code, Message                  string
	Bytes                          int64
	Started, Ended                 *time.Time
}

// seconds is how long the item took, 0 if it has not ended.
func (it ReportItem) seconds() float64 {
	if it.Started == nil || it.Ended == nil {
		return 0
	}
	return max(it.Ended.Sub(*it.Started).Seconds(), 0)
}

// WriteCSV writes a report as a table. A text that a spreadsheet would take for a formula
// gets an apostrophe before it.
func WriteCSV(w io.Writer, r Report) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"n", "key", "state", "source", "name", "host", "image_id", "task_id", "attempt", "code", "message", "bytes", "started", "ended", "seconds"}); err != nil {
		return err
	}
	for _, it := range r.Items {
		row := []string{strconv.Itoa(it.N), it.Key, it.State, it.Source, it.Name, it.Host, it.ImageID, it.TaskID, strconv.Itoa(it.Attempt), it.Code, it.Message,
			strconv.FormatInt(it.Bytes, 10), when(it.Started), when(it.Ended), strconv.FormatFloat(it.seconds(), 'f', 3, 64)}
		for i, text := range row {
			if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
				row[i] = "'" + text
			}
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func when(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// A bar is a rectangle of a chart.
type bar struct {
	X, Y, W, H float64
	Class      string
	Title      string
	Label      string
}

// The charts' sizes, in their own units.
const (
	chartWidth  = 1000.0
	chartHeight = 120.0
	// maxRows is how many items the timeline shows; of more, it shows those that took longest.
	maxRows   = 400
	rowHeight = 6.0
)

// page is what the HTML page is made of.
type page struct {
	Report
	Took     string
	Rate     string
	Size     string
	Counts   []bar // one a state, side by side
	Ends     []bar // items that ended, by time
	Timeline []bar
	Height   float64
	Hidden   int
	Codes    []codeCount
	Width    float64
	EndsH    float64
}

type codeCount struct {
	Code string
	N    int
}

// WriteHTML writes a report as a page that needs nothing beside it.
func WriteHTML(w io.Writer, r Report) error {
	out := bufio.NewWriter(w)
	if err := pageTemplate.Execute(out, newPage(r)); err != nil {
		return err
	}
	return out.Flush()
}

func newPage(r Report) page {
	p := page{Report: r, Width: chartWidth, EndsH: chartHeight, Size: bytesText(r.Bytes)}
	first, last := span(r)
	took := last.Sub(first)
	p.Took = took.Round(time.Second).String()
	if s := took.Seconds(); s > 0 {
		p.Rate = bytesText(int64(float64(r.Bytes)/s)) + "/s"
	}
	x := 0.0
	for _, state := range slices.Sorted(maps.Keys(r.States)) {
		wide := chartWidth * float64(r.States[state]) / float64(max(len(r.Items), 1))
		p.Counts = append(p.Counts, bar{X: x, W: wide, H: 30, Class: state, Title: fmt.Sprintf("%s: %d", state, r.States[state]), Label: state})
		x += wide
	}
	p.Ends = ends(r, first, took)
	p.Timeline, p.Hidden = timeline(r, first, took)
	p.Height = max(float64(len(p.Timeline))*rowHeight, rowHeight)
	codes := map[string]int{}
	for _, it := range r.Items {
		if it.Code != "" {
			codes[it.Code]++
		}
	}
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		p.Codes = append(p.Codes, codeCount{code, codes[code]})
	}
	return p
}

// span is the time that a bulk has taken.
func span(r Report) (first, last time.Time) {
	first, last = r.Created, r.Created
	for _, it := range r.Items {
		if it.Ended != nil && it.Ended.After(last) {
			last = *it.Ended
		}
	}
	if r.Ended != nil && r.Ended.After(last) {
		last = *r.Ended
	}
	return first, last
}

// ends counts the items that ended in each hundredth of the time.
func ends(r Report, first time.Time, took time.Duration) []bar {
	const parts = 100
	var good, wrong [parts]int
	most := 1
	for _, it := range r.Items {
		if it.Ended == nil || it.Started == nil || took <= 0 {
			continue
		}
		at := min(max(int(float64(parts)*float64(it.Ended.Sub(first))/float64(took)), 0), parts-1)
		if it.State == "active" {
			good[at]++
		} else {
			wrong[at]++
		}
		most = max(most, good[at]+wrong[at])
	}
	var out []bar
	for i := range parts {
		y := chartHeight
		for _, c := range []struct {
			n     int
			class string
		}{{good[i], "active"}, {wrong[i], "failed"}} {
			if c.n == 0 {
				continue
			}
			h := chartHeight * float64(c.n) / float64(most)
			y -= h
			out = append(out, bar{X: chartWidth / parts * float64(i), Y: y, W: chartWidth/parts - 1, H: h, Class: c.class, Title: fmt.Sprintf("%d %s", c.n, c.class)})
		}
	}
	return out
}

// timeline is a row for each item, from its begin to its end.
func timeline(r Report, first time.Time, took time.Duration) ([]bar, int) {
	var items []ReportItem
	for _, it := range r.Items {
		if it.Started != nil && it.Ended != nil && took > 0 {
			items = append(items, it)
		}
	}
	hidden := max(len(items)-maxRows, 0)
	if hidden > 0 {
		slices.SortStableFunc(items, func(a, b ReportItem) int { return int(1000 * (b.seconds() - a.seconds())) })
		items = items[:maxRows]
	}
	slices.SortStableFunc(items, func(a, b ReportItem) int { return a.Started.Compare(*b.Started) })
	var out []bar
	for i, it := range items {
		x := chartWidth * float64(it.Started.Sub(first)) / float64(took)
		wide := max(chartWidth*it.seconds()/took.Seconds(), 1)
		out = append(out, bar{X: max(x, 0), Y: float64(i) * rowHeight, W: wide, H: rowHeight - 1, Class: it.State,
			Title: fmt.Sprintf("%s: %s, %.1f s %s", it.Key, it.State, it.seconds(), it.Code)})
	}
	return out, hidden
}

// bytesText is a number of bytes for people.
func bytesText(n int64) string {
	v, unit := float64(n), 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	for v >= 1024 && unit < len(units)-1 {
		v, unit = v/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[unit])
}

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"bytes": bytesText, "when": when, "took": func(it ReportItem) string { return fmt.Sprintf("%.1f", it.seconds()) },
}).Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Bulk {{.ID}}</title>
<style>
body{font:14px/1.4 sans-serif;margin:2em;color:#222}table{border-collapse:collapse}td,th{padding:.2em .6em;text-align:left;border-bottom:1px solid #ddd}
svg{width:100%;background:#f6f6f6}.active{fill:#2a7;color:#2a7}.failed{fill:#c33;color:#c33}.skipped{fill:#89b;color:#567}.cancelled{fill:#a85;color:#a85}
.pending,.waiting{fill:#bbb;color:#888}.running{fill:#38c;color:#38c}
</style></head><body>
<h1>{{if .Name}}{{.Name}}{{else}}Bulk{{end}}: {{.Status}}</h1>
<p>{{.ID}}, project {{.Owner}}, begun {{.Created.UTC.Format "2006-01-02 15:04:05"}} UTC, {{len .Items}} items in {{.Took}}, {{.Size}} stored{{if .Rate}}, {{.Rate}}{{end}}.</p>
{{if .Limits}}<p>Limits: {{.Limits}}.</p>{{end}}
{{if .Message}}<p>{{.Message}}</p>{{end}}
<h2>Items by state</h2>
<svg viewBox="0 0 {{.Width}} 30" height="30" preserveAspectRatio="none" role="img">{{range .Counts}}<rect x="{{.X}}" y="0" width="{{.W}}" height="{{.H}}" class="{{.Class}}"><title>{{.Title}}</title></rect>{{end}}</svg>
<p>{{range .Counts}}<span class="{{.Class}}">{{.Title}}</span> {{end}}</p>
<h2>Items that ended, over time</h2>
<svg viewBox="0 0 {{.Width}} {{.EndsH}}" height="120" preserveAspectRatio="none" role="img">{{range .Ends}}<rect x="{{.X}}" y="{{.Y}}" width="{{.W}}" height="{{.H}}" class="{{.Class}}"><title>{{.Title}}</title></rect>{{end}}</svg>
<h2>Timeline</h2>
{{if .Hidden}}<p>Of the items, {{.Hidden}} that took least are not shown.</p>{{end}}
<svg viewBox="0 0 {{.Width}} {{.Height}}" preserveAspectRatio="none" role="img">{{range .Timeline}}<rect x="{{.X}}" y="{{.Y}}" width="{{.W}}" height="{{.H}}" class="{{.Class}}"><title>{{.Title}}</title></rect>{{end}}</svg>
{{if .Codes}}<h2>Codes</h2><table>{{range .Codes}}<tr><td>{{.Code}}</td><td>{{.N}}</td></tr>{{end}}</table>{{end}}
<h2>Items</h2>
<table><tr><th>n</th><th>key</th><th>state</th><th>source</th><th>image</th><th>bytes</th><th>seconds</th><th>what happened</th></tr>
{{range .Items}}<tr><td>{{.N}}</td><td>{{.Key}}</td><td class="{{.State}}">{{.State}}</td><td>{{.Source}}</td><td>{{.Name}} {{.ImageID}}</td><td>{{if .Bytes}}{{bytes .Bytes}}{{end}}</td><td>{{took .}}</td><td>{{.Code}} {{.Message}}</td></tr>
{{end}}</table></body></html>
`))
