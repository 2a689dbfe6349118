// Package embedded runs a Temporal service inside the process, for ingest on
// one machine: nothing else needs to be installed or started.
//
// Vocabulary:
//
//   - The *server* is Temporal's own server, all four services of it (frontend,
//     history, matching, worker) in this process, on loopback ports.
//   - The *file* is <dir>/temporal.db, an SQLite database in write-ahead-log
//     mode. It holds running and recently closed workflows and nothing that the
//     catalogue does not know as well: the catalogue is the authority, and its
//     reconciler starts again what the file no longer has.
//   - The *stamp* is <dir>/temporal.version. It says which server and schema
//     made the file. Temporal has no migrations for SQLite and opens a file of
//     another version without complaint, then fails here and there; so a file
//     with another stamp, and one that cannot be read, is moved aside and made
//     again. The last such file is kept, as temporal.db.<version>.bak.
//   - The *lock* is <dir>/temporal.lock, held as long as the process lives, so
//     that two processes never open one file.
//
// The server makes a program about 120 MB larger. The build tag noembed leaves
// it out; Start then returns an error that says so.
package embedded
