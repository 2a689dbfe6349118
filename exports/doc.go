// Package exports says where an image's bytes can be sent to. A Driver opens the
// destinations of its schemes; a Target is one of them, for one task.
//
// There are two kinds. A Writable is written where it will lie, at any offset, as an
// upload to a store is: a file. A Receiver is given a finished file from its begin to
// its end: an object in a bucket, or what a web server makes of a PUT.
//
// Nobody sees a destination before its Commit. A task that is begun again takes up what
// its attempt before has left; Abort removes it. What a Receiver sent before is compared
// with what it would send now, so that two versions are never spliced.
package exports
