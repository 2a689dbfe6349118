package embedded

import (
	"time"

	"github.com/rs/zerolog"
)

// Options say where the server keeps its file and what it offers.
type Options struct {
	// Dir is the folder of the file, made if it is not there. Required.
	Dir string
	// Logger gets the server's lines at warn level and above, or all of them
	// if Verbose is set and the logger's own level lets them through.
	Logger  zerolog.Logger
	Verbose bool
	// Namespace is made at the first start; "" means "default".
	Namespace string
	// Retention is how long closed workflows stay in the file; 0 means a week.
	Retention time.Duration
	// Port is the frontend's port on 127.0.0.1; 0 chooses a free one.
	Port int
	// UI starts Temporal's web interface too, on UIPort of 127.0.0.1; 0
	// chooses a free one.
	UI     bool
	UIPort int
	// OnRecreated is called, before the server starts, if the file was moved
	// aside and made again. Workflows in the old file are not continued.
	OnRecreated func(Recreated)
}

// Recreated says why the file was made again.
type Recreated struct {
	Reason  string // one sentence for the operator
	Old     string // version in the stamp of the old file, "unknown" if it had none
	New     string // version of this server
	MovedTo string // where the old file is
}
