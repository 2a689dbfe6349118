package main

import (
	"testing"

	"ingest/api"
)

// The shell completes the keyrings of the server that is asked.
func TestKeyringsAreCompleted(t *testing.T) {
	m := newMachine(t, idle, func(d *api.Deps) { d.Defaults.Keyrings = []string{"debian", "fedora"} })
	m.ingest("__complete", "import", "--keyring", "").want(t, 0, `debian\nfedora\n:4\n`, `.*`)
	none := newMachine(t, idle)
	none.ingest("__complete", "import", "--keyring", "").want(t, 0, `:4\n`, `.*`)
}
