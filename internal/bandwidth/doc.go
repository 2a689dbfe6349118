// Package bandwidth keeps transfers within budgets of bytes a second.
//
// A Bucket is one budget, or this process's share of one. Whoever moves bytes asks for
// them before, in small pieces, so that no more than a piece is ever ahead of the
// budget, and what was asked for and did not come is given back. A Flow is all budgets
// that bytes are of at once. A Meter travels in a context down to where bytes are read
// from a source or written to a store.
package bandwidth
