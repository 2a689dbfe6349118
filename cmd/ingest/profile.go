package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
)

// profileVar names a file for a CPU profile of the whole run, for those who work on
// ingest's speed (docs/performance.md).
const profileVar = "INGEST_CPUPROFILE"

// profiled runs fn, and writes its CPU profile to the file that the environment names.
// Without one it only runs it.
func profiled(fn func() int) (code int) {
	path := os.Getenv(profileVar)
	if path == "" {
		return fn()
	}
	f, err := os.Create(path)
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "ingest: %s: %v\n", profileVar, err)
		return 1
	}
	defer func() {
		pprof.StopCPUProfile()
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			fmt.Fprintf(os.Stderr, "ingest: %s: %v\n", profileVar, err)
			code = 1
		}
	}()
	return fn()
}
