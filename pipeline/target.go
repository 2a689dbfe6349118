package pipeline

import (
	"slices"
	"sort"
	"strings"

	"ingest/detect"
	"ingest/formats"
	"ingest/formats/qcow2"
	"ingest/formats/raw"
	"ingest/formats/transfer"
	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// A targetFormat says what a format that is written takes.
type targetFormat struct {
	compressions []string // the first is the default
	options      []string
}

// targets lists the formats that are written.
func targets() map[formats.Name]targetFormat {
	return map[formats.Name]targetFormat{
		formats.Raw:   {compressions: []string{"none"}},
		formats.QCOW2: {compressions: []string{"none", "zlib", "zstd"}},
	}
}

// keepsName reports whether a format is raw bytes under another name: only a
// source of that name becomes one.
func keepsName(n formats.Name) bool { return n == formats.ISO || detect.Opaque(n) }

// verbatim reports whether the bytes of a file of the format are the guest's.
func verbatim(n formats.Name) bool { return n == formats.Raw || keepsName(n) }

// target returns what a target takes that can be made of a source.
func target(name, source formats.Name) (tf targetFormat, ok bool) {
	switch {
	case keepsName(name):
		return targets()[formats.Raw], name == source
	case source == detect.AKI, source == detect.ARI:
		return tf, false // no disks: nothing boots from one as a disk
	}
	tf, ok = targets()[name]
	return tf, ok
}

// Targets returns the names of the formats that are written, sorted.
func Targets() []string {
	var out []string
	for name := range targets() {
		out = append(out, string(name))
	}
	sort.Strings(out)
	return out
}

// Target fills in what the request left open, and refuses what cannot be
// written: raw, an ISO and the parts of a machine (ami, aki, ari) stay what they
// are, all others become the configured format.
func (p *Pipeline) Target(source formats.Name, t contract.TargetSpec) (contract.TargetSpec, error) {
	name := formats.Name(strings.ToLower(t.Format))
	if name == "" {
		if verbatim(source) {
			name = source
		} else {
			name = formats.Name(p.OutputFormat)
			if t.Compression == "" {
				t.Compression = p.OutputCompression
			}
		}
	}
	tf, ok := target(name, source)
	if !ok {
		return t, wrongTarget(source, t)
	}
	if t.Compression == "" {
		t.Compression = tf.compressions[0]
	}
	if !slices.Contains(tf.compressions, t.Compression) {
		return t, errcode.New(errcode.TargetOption, "%s takes no compression %q", name, t.Compression).
			With(errcode.Evidence{Structure: "request", Field: "target.compression", Value: t.Compression, Limit: strings.Join(tf.compressions, ", ")})
	}
	for k := range t.Options {
		if !slices.Contains(tf.options, k) {
			return t, errcode.New(errcode.TargetOption, "%s takes no option %q", name, k).
				With(errcode.Evidence{Structure: "request", Field: "target.options", Value: k, Limit: strings.Join(tf.options, ", ")})
		}
	}
	t.Format = string(name)
	return t, nil
}

// wrongTarget says why a target cannot be made of a source.
func wrongTarget(source formats.Name, t contract.TargetSpec) error {
	ev := errcode.Evidence{Structure: "request", Field: "target.format", Value: t.Format, Limit: strings.Join(Targets(), ", ")}
	if source == detect.AKI || source == detect.ARI {
		ev.Limit = string(source)
		return errcode.New(errcode.TargetFormat, "an %s is no disk and stays what it is: it is not converted into %q", source, t.Format).With(ev)
	}
	return errcode.New(errcode.TargetFormat, "%q is not a format that ingest writes", t.Format).With(ev)
}

// planner returns the planner for a target that can be laid out in advance,
// nil if it must be written in one forward pass.
func planner(t contract.TargetSpec, info formats.Info) formats.Planner {
	switch {
	case verbatim(formats.Name(t.Format)):
		return raw.Planner{}
	case t.Format == string(formats.QCOW2) && t.Compression == "none" && info.HolesKnown:
		return qcow2.Planner{}
	}
	return nil
}

// encoder returns the encoder of a target that has one.
func encoder(t contract.TargetSpec, e transfer.Engine) formats.Encoder {
	return qcow2.Encoder{Compression: t.Compression, Engine: e}
}

// witness returns the format with which a finished target is read back: for
// qcow2 the independent one, so that a fault of our own reader does not vouch
// for the same fault of our writer.
func (p *Pipeline) witness(name string) (formats.Format, error) {
	if name == string(formats.QCOW2) {
		return qcow2.Witness{}, nil
	}
	for _, f := range p.Readers {
		if string(f.Name()) == name {
			return f, nil
		}
	}
	return nil, errcode.New(errcode.TargetFormat, "no reader for %q", name)
}
