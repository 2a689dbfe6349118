package stores

// Placed is a Store that can tell where its objects lie. One that cannot is taken
// for remote.
type Placed interface {
	// Local reports whether objects are read without a network, so that a copy of
	// one on this machine would be no nearer.
	Local() bool
}

// IsLocal reports whether a store says that its objects are near.
func IsLocal(s Store) bool {
	p, ok := s.(Placed)
	return ok && p.Local()
}
