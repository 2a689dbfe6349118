// Package sqlite keeps the catalogue in one SQLite file, for one machine.
//
// Every transaction that was reported as committed survives a crash of the
// process and of the machine: the file is in WAL mode with synchronous=FULL, so
// that each commit ends with an fsync of the log
// (https://www.sqlite.org/pragma.html#pragma_synchronous). Beside FILE stand
// FILE-wal and FILE-shm, which belong to it. WAL needs shared memory, so the
// file must lie on a local file system (https://www.sqlite.org/wal.html).
//
// One connection writes, in transactions that take the write lock at their
// start (BEGIN IMMEDIATE), so that none fails half-way for having read too
// early. A few more read beside it, each on a snapshot. Several processes may
// open one file; they wait for each other.
package sqlite
