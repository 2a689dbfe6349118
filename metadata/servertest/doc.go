// Package servertest is what the tests of drivers for database servers have in common:
// the suite of repotest against a real server, which is also killed, cut off, migrated
// from an older schema and asked for what it does not have.
package servertest
