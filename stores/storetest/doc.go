// Package storetest is the suite that every store driver passes. It knows only
// the interfaces of package stores; what a driver does beyond them belongs in
// the driver's own tests.
//
// Each test gets a fresh store and must leave nothing behind: the suite looks
// for objects and uploads at its end, and asks the driver for what else is left.
package storetest
