// Package mysql keeps the catalogue in a MariaDB (10.5 or later) or MySQL (8.0.17 or
// later) database that many servers of ingest can share. The tests run on MariaDB.
//
// A transaction that writes begins by locking one row, before it has a snapshot; so
// they run one by one, as in SQLite. Those that read are on snapshots beside it. With
// Galera, let all servers write to one node: row locks are a node's own.
//
// Text compares byte by byte, trailing spaces too, which is what the collations
// without padding are for: utf8mb4_nopad_bin of MariaDB, utf8mb4_0900_bin of MySQL.
//
// Each statement of a migration commits by itself, so a named lock of the server
// keeps others out, and a step that was killed goes on where it was.
package mysql
