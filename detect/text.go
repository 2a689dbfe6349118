package detect

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// WriteText writes the report for people.
func (r Report) WriteText(w io.Writer) error {
	var b bytes.Buffer
	format := string(r.DiskFormat)
	if format == "" {
		format = "not clear"
	}
	if r.Subformat != "" {
		format += " (" + r.Subformat + ")"
	}
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-16s %s\n", name, printable(value))
		}
	}
	row("name", r.Name)
	row("disk format", format)
	if r.ContainerFormat != "bare" {
		row("container", r.ContainerFormat)
	}
	row("layers", strings.Join(r.Layers, ", "))
	row("virtual size", bytesText(r.VirtualSize, 1))
	row("file size", bytesText(r.FileSize, 0))
	row("allocated size", bytesText(r.AllocatedSize, 0))
	row("block size", bytesText(r.BlockSize, 1))
	row("compression", r.Compression)
	row("creator", r.Creator)
	verdict := "yes"
	switch {
	case r.Refused():
		verdict = "NO: the image is refused"
	case !r.Safe:
		verdict = "not known yet"
	}
	row("safe", verdict)
	r.writeFindings(&b)
	r.writeChecks(&b)
	for i, d := range r.Disks {
		fmt.Fprintf(&b, "\ndisk %d of %d\n", i+1, len(r.Disks))
		if err := d.WriteText(&b); err != nil {
			return err
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (r Report) writeFindings(b *bytes.Buffer) {
	if len(r.Findings) == 0 {
		return
	}
	b.WriteString("\nfindings\n")
	for _, f := range r.Findings {
		fmt.Fprintf(b, "  %-8s %s  %s\n", f.Severity, f.Code, printable(f.Message))
		if e := f.Evidence; e != nil {
			var parts []string
			add := func(name, value string) {
				if value != "" {
					parts = append(parts, name+" "+value)
				}
			}
			add("format", e.Format)
			add("structure", e.Structure)
			add("field", e.Field)
			if e.Offset != nil {
				add("offset", decimal(*e.Offset))
			}
			add("value", e.Value)
			add("allowed", e.Limit)
			if len(parts) > 0 {
				fmt.Fprintf(b, "  %-8s seen: %s\n", "", printable(strings.Join(parts, ", ")))
			}
		}
		if f.Remedy != "" {
			fmt.Fprintf(b, "  %-8s remedy: %s\n", "", printable(f.Remedy))
		}
	}
}

func (r Report) writeChecks(b *bytes.Buffer) {
	if len(r.Checks) == 0 {
		return
	}
	width := 0
	for _, c := range r.Checks {
		width = max(width, len(c.Name))
	}
	b.WriteString("\nchecks\n")
	for _, c := range r.Checks {
		fmt.Fprintf(b, "  %-4s  %-*s  %s\n", c.Result, width, c.Name, printable(c.Detail))
	}
}

// bytesText writes a number of bytes, "" below least.
func bytesText(n, least int64) string {
	if n < least {
		return ""
	}
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	if n < 1024 {
		return fmt.Sprintf("%d bytes", n)
	}
	v, i := float64(n)/1024, 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	return fmt.Sprintf("%.4g %s (%d bytes)", v, units[i], n)
}

// printable keeps text of an image from writing control characters to a
// terminal.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, s)
}
