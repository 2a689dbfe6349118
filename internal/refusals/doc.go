// Package refusals holds tests only, of what the formats and their detection
// promise together: that each code by which they refuse an image has an image
// that is refused by exactly it, and that each limit holds to the byte.
package refusals
