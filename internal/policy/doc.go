// Package policy is what an operator allows projects to import. A policy is one
// YAML file: settings for everybody under "defaults", and for single projects
// under "projects", where a setting of a project stands in place of the same
// setting of the defaults. Within a list of places the first one that matches
// decides. docs/policy.md shows the whole file.
//
// A policy is asked at three points of an import: when it is submitted (what the
// request says), when it is validated (what was found) and before it becomes
// active (what was verified). Each time it answers with a contract.PolicyReport:
// one verdict for each rule and subject, with the line of the file that says so.
// Evaluation is pure: no clock, no network, no state.
package policy
