// Package exporttest is what every driver of destinations must pass: its destinations
// appear whole or not at all, what was cut off goes on, what exists is kept, and what is
// given up leaves nothing.
package exporttest
