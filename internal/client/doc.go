// Package client calls the API of an ingest server. Every error that it returns
// is an *errcode.Error: the server's own with its code, message and evidence, or
// one that says what is between here and the server. Only the end of the
// caller's own context is returned as it is.
package client
