// Package provenance writes and checks the record of where an image's bytes come
// from, what was done to them, and what was found and verified on the way.
//
// A record is an in-toto Statement v1 (https://in-toto.io/Statement/v1) about one
// image, with a predicate of our own that is laid out as SLSA's provenance v1
// (https://slsa.dev/spec/v1.0/provenance) wherever both say the same: what was asked
// for (buildDefinition), what it was made of (resolvedDependencies), and who made it
// when (runDetails). docs/provenance.md lists every member.
//
// It is written as canonical JSON: members in the order of their names, no spaces, no
// HTML escapes. With an operator's Ed25519 key it stands in a DSSE envelope
// (https://github.com/secure-systems-lab/dsse, version 1.0.2), and without one bare.
//
// Nothing secret stands in a record: of URLs, user, query and fragment are cut. Its
// size is bounded; what is left out of a list is counted.
package provenance
