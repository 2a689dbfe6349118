// Package activitytest has what tests of activities and workflows share: steps
// that follow a script, a catalogue in memory, and an ear for signals.
package activitytest
