package sources

// An About is what a catalogue that a source comes from says of it, beside its
// bytes: what an image service knows of an image. Nothing in it is proved.
type About struct {
	URL             string // where it is said
	Name            string
	DiskFormat      string // "" if the catalogue does not say
	ContainerFormat string // likewise
	MinDisk         int64  // GiB
	MinRAM          int64  // MiB
	Hidden          bool
	Tags            []string
	Properties      map[string]string
	// Digests are those of the source's bytes, "ALGO:HEX", the best one first.
	Digests []string
}

// Described is an ability of sources that stand in a catalogue.
type Described interface{ About() About }

// AboutOf returns what a catalogue says of a source, or of the source within it;
// false if it stands in none.
func AboutOf(s Source) (About, bool) {
	for {
		switch t := s.(type) {
		case Described:
			return t.About(), true
		case Wrapper:
			s = t.Unwrap()
		default:
			return About{}, false
		}
	}
}
