// Package child reads file systems in a process of its own, started from the same
// program, without a shell and without an environment.
//
// The child has a socket to its parent and nothing else; what else it was given is
// closed. It can get no other descriptor of any kind (RLIMIT_NOFILE 0), and writes no
// byte into a file (RLIMIT_FSIZE 0). A filter of system calls (seccomp) leaves it those
// that a Go program lives on: memory, threads, time, its own descriptors. Any other, as
// those that open a file, make a socket, start a program or reach another process, ends
// it. Memory, processor time and the time on the clock are limited too, it cannot be
// dumped or traced by its user, and it dies with its parent. It gets the guest's bytes by asking the parent for ranges of them, whatever
// the format of the image is; the parent bounds each answer and their sum, and knows
// no more than that ranges are asked for.
//
// The child's end before its time is an answer like any other: the volume that it was
// at is not inspected, and another child goes on with the next one.
package child
