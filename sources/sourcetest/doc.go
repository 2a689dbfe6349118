// Package sourcetest is the suite that every source driver passes. It holds
// each driver to the one promise of package sources: what is read is the pinned
// version, whole, or an error.
package sourcetest
