// Package archtest keeps the direction in which packages import each other: a
// rule names who may not import what, and why. It looks at direct imports of
// ordinary files, not of tests.
package archtest
