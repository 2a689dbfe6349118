// Package identity says on whose behalf a request is made: who the caller is, in
// which project, and with which roles.
//
// Nothing here decides what a caller may do; that is internal/access.
package identity
