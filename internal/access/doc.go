// Package access says what a caller may do. Its rules are written in the language of
// oslo.policy, under the names of Glance's policies, so that operators can take over
// what they have: "role:member and project_id:%(project_id)s". Rules for what only
// ingest has are below "ingest:".
//
// A rule is a tree of checks over two things: the caller (identity.Caller) and the
// target, which is what is asked for, as names and values. Rules are parsed and linked
// once, when they are loaded; a rule that names an unknown rule, goes in a circle or is
// too large to be judged quickly is refused then, and never when a request asks.
//
// Protections are Glance's property protections: who may create, read, update and
// delete which properties of an image.
//
// The package decides and enforces nothing: api asks it, and answers 403 or 404.
package access
