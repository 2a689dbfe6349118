package writers

import (
	"io"
	"slices"
	"strings"

	"ingest/formats"
	"ingest/formats/content"
	"ingest/formats/transfer"
	"ingest/internal/errcode"
)

// A Writer is a format or a container that ingest writes.
type Writer struct {
	Name       string       `json:"name"`
	Help       string       `json:"help"`
	DiskFormat formats.Name `json:"disk_format"`      // as Glance calls it
	Container  string       `json:"container_format"` // as Glance calls it
	Extensions []string     `json:"extensions"`       // of file names that mean this writer
	Options    []Option     `json:"options,omitempty"`
	// check, if set, tells what is wrong with complete options together.
	check func(o Options) error
	// make takes complete options.
	make func(o Options, e transfer.Engine) Made
}

// Made is a writer with its options. A Planner serves sources that know their
// holes, or all if Encoder is nil; an Encoder serves the others, or all if
// Planner is nil.
type Made struct {
	Planner formats.Planner
	Encoder formats.Encoder
	Codec   string // what makes the output's bytes
	// Open reads back what was written, with eyes other than the writer's where
	// there are any.
	Open func(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error)
	// Fits returns the error of a disk of size bytes that the target does not hold,
	// so that it is told before anything is written. nil means that all do that
	// are read.
	Fits func(size int64) error
	// Several returns the encoder of a container that takes further disks behind
	// the first, each with a digest of its own. nil if there is one disk only.
	Several func(more []formats.Disk, digests []*content.Hasher) formats.Encoder
	// OpenAll is Open for all disks of such a container.
	OpenAll func(r io.ReaderAt, size int64, lim formats.Limits) ([]formats.Disk, error)
}

// Plans reports whether a source of this kind is laid out by the planner.
func (m Made) Plans(info formats.Info) bool {
	return m.Planner != nil && (info.HolesKnown || m.Encoder == nil)
}

// All returns every writer, in the order in which people look for them.
func All() []Writer {
	return []Writer{rawWriter(), qcow2Writer(), vmdkWriter(), vhdWriter(), vhdxWriter(), vdiWriter(), gceWriter(), ovaWriter()}
}

// Names returns the names of all writers.
func Names() []string {
	var out []string
	for _, w := range All() {
		out = append(out, w.Name)
	}
	return out
}

// Find returns the writer of a name in any case.
func Find(name string) (Writer, bool) {
	all := All()
	i := slices.IndexFunc(all, func(w Writer) bool { return strings.EqualFold(w.Name, name) })
	if i < 0 {
		return Writer{}, false
	}
	return all[i], true
}

// Complete checks settings and adds the defaults.
func (w Writer) Complete(given map[string]string) (Options, error) {
	o, err := complete(w.Name, w.Options, given)
	if err == nil && w.check != nil {
		err = w.check(o)
	}
	return o, err
}

// Has reports whether the writer takes an option.
func (w Writer) Has(option string) bool {
	return slices.ContainsFunc(w.Options, func(o Option) bool { return o.Name == option })
}

// Several reports whether the writer takes several disks.
func (w Writer) Several() bool {
	m, err := w.Make(nil, transfer.Engine{})
	return err == nil && m.Several != nil
}

// Make returns the writer with its options set.
func (w Writer) Make(given map[string]string, e transfer.Engine) (Made, error) {
	o, err := w.Complete(given)
	if err != nil {
		return Made{}, err
	}
	return w.make(o, e), nil
}

// Resolve returns the writer that a format or a preset means, and the complete
// settings: a preset's own, and over them those that are given.
func Resolve(name string, given map[string]string) (Writer, Options, error) {
	all := map[string]string{}
	if p, ok := FindPreset(name); ok {
		name = p.Format
		for k, v := range p.Options {
			all[k] = v
		}
	}
	w, ok := Find(name)
	if !ok {
		return Writer{}, nil, errcode.New(errcode.TargetFormat, "%q is not a format or a preset that ingest writes", clip(name)).
			With(errcode.Evidence{Structure: "request", Field: "target.format", Value: clip(name), Limit: strings.Join(Known(), ", ")})
	}
	for k, v := range given {
		all[k] = v
	}
	w.dropIdle(all, given)
	o, err := w.Complete(all)
	return w, o, err
}

// dropIdle drops what a preset sets that does not go with what is given beside it:
// azure with subformat=dynamic has no use for align.
func (w Writer) dropIdle(all, given map[string]string) {
	for _, o := range w.Options {
		k, v, _ := strings.Cut(o.Only, "=")
		_, asked := given[o.Name]
		if set, ok := all[k]; o.Only != "" && !asked && ok && !strings.EqualFold(set, v) {
			delete(all, o.Name)
		}
	}
}

// Known returns the names of all writers and presets.
func Known() []string {
	out := Names()
	for _, p := range Presets() {
		out = append(out, p.Name)
	}
	return out
}

// ByExtension returns the writer that a file's name means. What the longest
// extension says counts, so that .tar.gz is not .gz.
func ByExtension(file string) (Writer, bool) {
	file = strings.ToLower(file)
	var best Writer
	length := 0
	for _, w := range All() {
		for _, e := range w.Extensions {
			if len(e) > length && strings.HasSuffix(file, e) {
				best, length = w, len(e)
			}
		}
	}
	return best, length > 0
}
