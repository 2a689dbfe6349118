// Package faultproxy is a TCP proxy for tests and benchmarks. It stands
// between a client and a real server, counts the bytes of both directions,
// adds latency, limits bandwidth, and cuts, resets, stalls or corrupts
// connections where a test says so. It knows nothing of the protocol it
// carries, so what it does to a connection is what a network can do.
//
// Shape is what every byte meets: latency and bandwidth. A Fault strikes one
// connection once, after a number of bytes in one direction. Both may be
// changed while the proxy runs; a changed Shape holds for the bytes read from
// then on, changed faults for the connections accepted from then on.
package faultproxy
