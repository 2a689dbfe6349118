// Package temporalclient connects to a Temporal service and makes a namespace
// of it ready for ingest.
//
// Vocabulary:
//
//   - The *service* is whatever answers Temporal's gRPC API: the embedded
//     server, one that an operator runs, or a hosted one.
//   - A *namespace* separates the workflows of one installation from others;
//     its *retention* says how long closed workflows stay readable.
//   - A *search attribute* is a typed field by which workflows can be listed.
//     Those of ingest are keywords, named in internal/contract.
//   - A *profile* is a named set of connection options in the file that the
//     `temporal` command line keeps (temporal.toml). Without an address, Dial
//     reads the same TEMPORAL_* variables and profiles as `temporal` does.
package temporalclient
