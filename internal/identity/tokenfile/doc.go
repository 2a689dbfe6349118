// Package tokenfile knows callers by tokens that an operator made with `ingest token
// create`.
//
// A token is 256 random bits, told once. The file holds its SHA-256, which is as good
// as a slow hash for something that nobody can guess, and beside it whom the token
// stands for. The file is replaced as a whole, under a lock, and read again by a
// running server as soon as it changes.
package tokenfile
