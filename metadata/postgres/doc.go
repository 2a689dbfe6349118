// Package postgres keeps the catalogue in a PostgreSQL database that many servers
// of ingest can share.
//
// A transaction that writes begins by locking the table of migrations against
// others that write, which takes no snapshot; so they run one by one, on a snapshot
// each, as in SQLite, and none fails for what another one does. Those that read are
// on snapshots beside it (https://www.postgresql.org/docs/current/sql-lock.html).
package postgres
