// Package e2e tests the real binary from outside: servers run as processes of
// their own, with a data folder of their own, and are asked through the API, the
// command line and a plain Temporal client. Nothing in it is a double, so a test
// that passes is something that a person could have seen.
//
// The words of the tests: an origin is a web server of images that can be made
// slow and counts what it sends; a server is a running `ingest serve`, which a
// test may kill, stop and start again on the same data folder. Whatever an import
// came to, nothingLeft holds afterwards: no staged file, no upload, and in the
// store exactly the objects of active images.
//
// At most two servers run at once. `go test -short` leaves the package out.
package e2e
