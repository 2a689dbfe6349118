// Package activities does what the workflows decide: one activity a file, each a
// thin caller of pipeline.Steps or of metadata.Catalogue.
//
// The words:
//
//   - An attempt is one run of an activity. Two attempts of one activity can
//     overlap, and any attempt can be the second: every activity gives the same
//     result when it is run again.
//   - A beat is a heartbeat: how far the attempt is, and a hint for the next
//     one. It is sent while something moves; an attempt that stands still goes
//     silent, so that the server takes it for dead.
//   - A signal tells the attempt's own workflow how far it is, for its progress
//     query. It is a courtesy: one that fails is forgotten.
//   - An interruption is an end that is nobody's fault: the workflow cancels,
//     the worker shuts down, or nothing moves any more.
//
// Every stage's attempt ends with one line in the log and one event in the
// catalogue, whatever became of it. Errors cross into Temporal in errors.go.
package activities
