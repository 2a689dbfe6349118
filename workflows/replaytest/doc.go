// Package replaytest records the histories that the workflows must replay for
// ever. It is apart from package workflows because it links the Temporal
// server, which takes long:
//
//	go test ./workflows/replaytest -update-replay
//
// writes ../testdata/replay/*.json anew; without the flag it records the same
// imports into a temporary folder and replays those. Once a version has been
// released, its histories stay, and those of a change get names of their own.
package replaytest
