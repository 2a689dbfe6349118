package stores

// A ReadOnly store can be read from and not written to: Begin is refused with
// errcode.StoreReadOnly, and Delete forgets what is known of an object and leaves it.
type ReadOnly interface {
	ReadOnly() bool
}

// IsReadOnly reports whether a store says that it cannot be written to.
func IsReadOnly(s Store) bool {
	r, ok := s.(ReadOnly)
	return ok && r.ReadOnly()
}
