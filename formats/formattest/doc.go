// Package formattest is the suite that every reader and every writer of a disk
// format passes.
//
// Reader holds an opened disk against the guest bytes that it must show: at
// every border of its extents, unaligned, at and past its end, and from many
// goroutines at once; and it holds the extents against the bytes, in the guest
// and in the file. Bad holds a table of damaged images against the codes that
// must refuse them. Fuzz is the body of a fuzz target: whatever the bytes are,
// a reader does not panic, does not allocate more than its limits, gives every
// error a code, and stays consistent with itself. BenchmarkRead measures.
//
// Writer holds planners and encoders against the format's own reader and qemu-img,
// a plan's ranges against its bytes, and an encoder that crashed and went on against
// one that did not.
package formattest
