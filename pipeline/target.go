package pipeline

import (
	"slices"
	"sort"
	"strings"

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

// targets lists the formats that are written. ISO is raw bytes under another
// name: only an ISO becomes one.
func targets() map[formats.Name]targetFormat {
	return map[formats.Name]targetFormat{
		formats.Raw:   {compressions: []string{"none"}},
		formats.ISO:   {compressions: []string{"none"}},
		formats.QCOW2: {compressions: []string{"none", "zlib", "zstd"}},
	}
}

// Targets returns the names of the formats that are written, sorted.
func Targets() []string {
	var out []string
	for name := range targets() {
		if name != formats.ISO {
			out = append(out, string(name))
		}
	}
	sort.Strings(out)
	return out
}

// Target fills in what the request left open, and refuses what cannot be
// written: raw stays raw, an ISO stays an ISO, all others become the
// configured format.
func (p *Pipeline) Target(source formats.Name, t contract.TargetSpec) (contract.TargetSpec, error) {
	name := formats.Name(strings.ToLower(t.Format))
	if name == "" {
		switch source {
		case formats.Raw, formats.ISO:
			name = source
		default:
			name = formats.Name(p.OutputFormat)
			if t.Compression == "" {
				t.Compression = p.OutputCompression
			}
		}
	}
	tf, ok := targets()[name]
	if !ok || (name == formats.ISO && source != formats.ISO) {
		return t, errcode.New(errcode.TargetFormat, "%q is not a format that ingest writes", t.Format).
			With(errcode.Evidence{Structure: "request", Field: "target.format", Value: t.Format, Limit: strings.Join(Targets(), ", ")})
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

// planner returns the planner for a target that can be laid out in advance,
// nil if it must be written in one forward pass.
func planner(t contract.TargetSpec, info formats.Info) formats.Planner {
	switch {
	case t.Format == string(formats.Raw), t.Format == string(formats.ISO):
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
