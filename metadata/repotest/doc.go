// Package repotest is the suite that every metadata.Repository passes. A
// driver's test calls Run, and Persistence if its database outlives a process.
package repotest
