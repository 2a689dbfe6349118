// Package dbtest runs Debian's real PostgreSQL and MariaDB for tests, each on a free
// port of 127.0.0.1 and in a folder of its own, ended by its process. scripts/setup
// installs them; one that is absent fails the test.
//
// Main gives a test binary one server of each kind, started when the first test asks
// for it, and each test a database of its own in it. Start gives a test a whole server,
// which it may kill.
package dbtest
