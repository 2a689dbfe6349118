// Package workflows decides what happens in which order: the deterministic half
// of ingest. It holds decisions only. Work is done by activities, which it
// knows by the names and structs of package contract; the clock, the network
// and the disk are out of its reach, and a lint (workflowcheck) and the replay
// of recorded histories keep it so.
//
// The words:
//
//   - A stage is a step of an import that people see; its work is one activity.
//   - A round is one attempt at everything from fetch to store. A second round
//     begins when what the first one staged is lost with its host.
//   - A place is where a round left bytes: a host's task queue, a store, a key.
//     The places are what cleanup has to visit.
//
// # One import
//
// ImportImage runs register, fetch, detect, validate, convert, checksum, store
// and activate. Register and activate are not cancelled half-way, since only
// their answer says what stands in the catalogue: a cancel that comes during
// activate is too late, and the import succeeds.
//
// Whatever else ends an import runs the same undoing, out of reach of the
// cancellation: cleanup in every place, then fail, which writes the reason to
// the catalogue. Only then does the workflow end, as cancelled or with an
// application error whose type is the code and whose details are a
// contract.ErrorValue.
//
// # The dry run
//
// PlanImport asks one activity what an import would do. It keeps nothing and has
// nothing to undo.
//
// # Hosts
//
// Staged files, and stores that are folders, belong to a host; what follows a
// fetch runs on that host's task queue. If nobody takes a task from that queue
// in time, the workflow asks for the source again on the queue of all hosts. If
// the same host answers, with the same source, it was only busy, and the work
// goes on where it was. If another one does, or if the staged copy is gone, a
// new round begins there.
package workflows
