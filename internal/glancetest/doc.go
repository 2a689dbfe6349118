// Package glancetest runs Debian's real Glance and Keystone for tests, each on a free
// port of 127.0.0.1 and in a folder of its own, ended by its process. scripts/setup
// installs them; one that is absent fails the test.
package glancetest
