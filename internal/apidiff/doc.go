// Package apidiff replays a list of requests at two services that speak the Image API,
// and tells in what their answers differ: one of them is Debian's real Glance, the other
// one is ingest.
//
// Statuses, the headers that clients go by, and bodies are compared. What cannot be equal
// is made so first: ids become <uuid>, times <time>, the host goes from URLs, and the
// parameters of a query are put in order. Of refusals only the shape is compared, not
// the words.
//
// A difference that is meant stands in a list of Intended ones, with its reason. One that
// is not in it, and one in it that is not seen, are both faults.
package apidiff
