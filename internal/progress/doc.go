// Package progress shows a person how far work is: bars on a terminal, plain
// lines anywhere else, nothing when asked to be quiet.
//
// Work is a row of stages. A stage has figures: bytes done, the total if it is
// known, the rate, and the time that is left (ETA). Whoever copies bytes in
// this process calls Update and lets the Display work out rate and ETA; whoever
// watches a server calls Show with the figures that the server took.
package progress
