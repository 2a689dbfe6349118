package detect

import (
	"fmt"
	"strconv"

	"ingest/formats"
	"ingest/internal/errcode"
)

// A Result is how a check ended.
type Result string

// The results. A check that fails refuses the file.
const (
	Pass Result = "pass"
	Fail Result = "fail"
	Skip Result = "skip"
)

// A Check is one check that was made.
type Check struct {
	Name   string `json:"name"`
	Result Result `json:"result"`
	Detail string `json:"detail"`
	// Code and Remedy are those of the refusal, of a check that failed.
	Code   errcode.Code `json:"code,omitempty"`
	Remedy string       `json:"remedy,omitempty"`
	// Evidence is what was seen, and where, if the check is about one place.
	Evidence *errcode.Evidence `json:"evidence,omitempty"`
}

// A Report says what a file is and whether it is safe to read. It is filled as
// far as detection came.
type Report struct {
	// DiskFormat is what the file is, "" if that is not clear. Besides the
	// names of formats, it may be that of an outer layer, such as "gzip".
	DiskFormat      formats.Name      `json:"disk_format"`
	Subformat       string            `json:"subformat,omitempty"`
	ContainerFormat string            `json:"container_format"`      // "bare", the disk format for ami, aki, ari, or what is around it: "ova", "ovf", "docker", "compressed"
	VirtualSize     int64             `json:"virtual_size"`          // bytes, 0 if not known
	FileSize        int64             `json:"file_size"`             // bytes, -1 if not known
	AllocatedSize   int64             `json:"allocated_size"`        // guest bytes stored as data, -1 if not known
	BlockSize       int64             `json:"block_size,omitempty"`  // cluster, grain or block, bytes
	Compression     string            `json:"compression,omitempty"` // of blocks, "deflate" or "zstd"; of the whole file, the layer's name; or ""
	Creator         string            `json:"creator,omitempty"`     // program that wrote it, as the header says
	Name            string            `json:"name,omitempty"`        // of the disk's file, in a container
	Layers          []string          `json:"layers,omitempty"`      // compressions that were taken off, the outermost first
	Safe            bool              `json:"safe"`
	Findings        []formats.Finding `json:"findings"`
	Checks          []Check           `json:"checks"`
	// Disks are all disks of a container that holds several; what stands above is
	// then about the first one and about the container.
	Disks []Report `json:"disks,omitempty"`

	remedy string // of the refusal, where it is more precise than the code's
}

func newReport(size int64) Report {
	return Report{ContainerFormat: "bare", FileSize: size, AllocatedSize: -1, Findings: []formats.Finding{}, Checks: []Check{}}
}

func (r *Report) check(name string, result Result, format string, args ...any) {
	r.Checks = append(r.Checks, Check{Name: name, Result: result, Detail: fmt.Sprintf(format, args...)})
}

func (r *Report) pass(name, format string, args ...any) { r.check(name, Pass, format, args...) }
func (r *Report) skip(name, format string, args ...any) { r.check(name, Skip, format, args...) }

// seen adds to the last check what it is about.
func (r *Report) seen(ev errcode.Evidence) { r.Checks[len(r.Checks)-1].Evidence = &ev }

// fail notes the check that refuses, and returns its error.
func (r *Report) fail(name string, err error) error {
	f := r.finding(err)
	c := Check{Name: name, Result: Fail, Detail: err.Error(), Code: f.Code, Remedy: f.Remedy, Evidence: f.Evidence}
	if e, ok := errcode.As(err); ok {
		c.Detail = e.Error()
	}
	r.Checks = append(r.Checks, c)
	return err
}

// finding is formats.FindingOf, with the remedy that is known here.
func (r *Report) finding(err error) formats.Finding {
	f := formats.FindingOf(err)
	if r.remedy != "" {
		f.Remedy = r.remedy
	}
	return f
}

// refuse adds the finding of the error that ends detection.
func (r *Report) refuse(err error) {
	r.Safe = false
	r.Findings = append(r.Findings, r.finding(err))
}

// name takes over what a claim says.
func (r *Report) name(c claim) {
	r.DiskFormat, r.Subformat = c.name, c.subformat
	if c.container != "" {
		r.ContainerFormat = c.container
	}
	if c.container == "compressed" {
		r.Compression = string(c.name)
	}
}

// fill takes over the facts of an open disk's header.
func (r *Report) fill(info formats.Info, c claim) {
	r.DiskFormat = c.name
	if info.Subformat != "" {
		r.Subformat = info.Subformat
	}
	r.VirtualSize, r.BlockSize = info.VirtualSize, info.BlockSize
	r.Compression, r.Creator = info.Compression, info.Creator
	r.Findings = append(r.Findings, info.Findings...)
}

// Refused reports whether the file is refused. A report can be neither safe nor
// refused: then detection has not come to its end.
func (r Report) Refused() bool {
	for _, f := range r.Findings {
		if f.Severity == formats.SeverityError {
			return true
		}
	}
	return false
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
