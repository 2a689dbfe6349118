// Package cli holds what the subcommands of ingest have in common: how results
// and errors are printed, which exit code a failure has, and how a running
// import is followed.
//
// Results go to standard output, everything else (progress, notices, errors) to
// standard error, so that output can be piped. With --json both are JSON.
package cli
