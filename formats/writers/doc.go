// Package writers lists what ingest writes: the disk formats and containers with
// the options that each takes, and the presets, which are the format and options
// that a cloud or a hypervisor wants. The program, its help, its API and the
// tests all read the same list.
package writers
