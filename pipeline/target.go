package pipeline

import (
	"io"
	"maps"
	"strings"

	"ingest/detect"
	"ingest/formats"
	"ingest/formats/transfer"
	"ingest/formats/writers"
	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// keepsName reports whether a format is raw bytes under another name: only a
// source of that name becomes one.
func keepsName(n formats.Name) bool {
	return n == formats.ISO || n == detect.Docker || detect.Opaque(n)
}

// verbatim reports whether the bytes of a file of the format are the guest's.
func verbatim(n formats.Name) bool { return n == formats.Raw || keepsName(n) }

// Target fills in what the request left open, and refuses what cannot be
// written: raw, an ISO, the parts of a machine (ami, aki, ari) and a container image
// stay what they are, all others become the configured format. A preset becomes its format and
// options.
func (p *Pipeline) Target(source formats.Name, t contract.TargetSpec) (contract.TargetSpec, error) {
	name := strings.ToLower(t.Format)
	if name == "" {
		if verbatim(source) {
			name = string(source)
		} else {
			name = p.OutputFormat
			if t.Compression == "" {
				t.Compression = p.OutputCompression
			}
		}
	}
	t.Format = name
	opaque := source == detect.AKI || source == detect.ARI || source == detect.Docker // no disks: nothing boots from one as a disk
	if formats.Name(name) != source && (opaque || keepsName(formats.Name(name))) {
		return t, wrongTarget(source, t)
	}
	return CheckTarget(t)
}

// withFormat returns the target with another format.
func withFormat(t contract.TargetSpec, name string) contract.TargetSpec {
	t.Format = name
	return t
}

// CheckTarget returns the target with its preset resolved and every option
// named, or says what is wrong with it. It knows nothing of the source.
func CheckTarget(t contract.TargetSpec) (contract.TargetSpec, error) {
	if name := formats.Name(t.Format); keepsName(name) {
		out, err := CheckTarget(withFormat(t, string(formats.Raw)))
		out.Format, out.DiskFormat = t.Format, t.Format
		if name == detect.Docker {
			out.DiskFormat, out.ContainerFormat = string(formats.Raw), t.Format
		}
		return out, err
	}
	if c := t.Options["compression"]; c != "" && t.Compression != "" && !strings.EqualFold(c, t.Compression) {
		return t, errcode.New(errcode.TargetOption, "the compression is given twice, as %q and as %q", t.Compression, c).
			With(errcode.Evidence{Structure: "request", Field: "target.compression", Value: t.Compression, Limit: c})
	}
	w, o, err := writers.Resolve(t.Format, settings(t, t.Format))
	if err != nil {
		return t, err
	}
	t.Format, t.Options = w.Name, o
	t.DiskFormat, t.ContainerFormat = string(w.DiskFormat), w.Container
	t.Compression = "none"
	if c := o["compression"]; c != "" {
		t.Compression = c
	}
	return t, nil
}

// settings returns a target's options with its compression among them. "none"
// is right for a format that does not compress.
func settings(t contract.TargetSpec, name string) map[string]string {
	o := maps.Clone(t.Options)
	if t.Compression == "" {
		return o
	}
	if p, ok := writers.FindPreset(name); ok {
		name = p.Format
	}
	if w, ok := writers.Find(name); t.Compression == "none" && ok && !w.Has("compression") {
		return o
	}
	if o == nil {
		o = map[string]string{}
	}
	if _, ok := o["compression"]; !ok {
		o["compression"] = t.Compression
	}
	return o
}

// wrongTarget says why a target cannot be made of a source.
func wrongTarget(source formats.Name, t contract.TargetSpec) error {
	ev := errcode.Evidence{Structure: "request", Field: "target.format", Value: t.Format, Limit: strings.Join(writers.Known(), ", ")}
	if source == detect.Docker {
		ev.Limit = "none"
		return errcode.New(errcode.TargetFormat, "a container image is no disk and stays what it is: it is not converted into %q; leave the target out", t.Format).With(ev)
	}
	if source == detect.AKI || source == detect.ARI {
		ev.Limit = string(source)
		return errcode.New(errcode.TargetFormat, "an %s is no disk and stays what it is: it is not converted into %q", source, t.Format).With(ev)
	}
	return errcode.New(errcode.TargetFormat, "%q is made of nothing but itself", t.Format).With(ev)
}

// writerOf returns what writes a complete target.
func writerOf(t contract.TargetSpec, e transfer.Engine) (writers.Made, error) {
	name := t.Format
	if keepsName(formats.Name(name)) {
		name = string(formats.Raw)
	}
	w, ok := writers.Find(name)
	if !ok {
		return writers.Made{}, errcode.New(errcode.TargetFormat, "no writer for %q", t.Format)
	}
	return w.Make(settings(t, name), e)
}

// fits refuses a disk that the target does not hold.
func (p *Pipeline) fits(t contract.TargetSpec, size int64) error {
	m, err := writerOf(t, p.engine())
	if err != nil || m.Fits == nil {
		return err
	}
	return m.Fits(size)
}

// openBack opens what was written as a target: for qcow2 with the independent
// reader, so that a fault of our own reader does not vouch for the same fault of
// our writer.
func (p *Pipeline) openBack(t contract.TargetSpec, r io.ReaderAt, size int64) (formats.Disk, error) {
	m, err := writerOf(t, p.engine())
	if err != nil {
		return nil, err
	}
	return m.Open(r, size, p.Limits)
}
