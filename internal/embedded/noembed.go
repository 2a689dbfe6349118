//go:build noembed || !unix

package embedded

import (
	"context"

	"ingest/internal/errcode"
)

// Available reports whether this program holds the server.
const Available = false

// Server is never made in this program.
type Server struct{}

// Start returns an error: the program was built without the server.
func Start(context.Context, Options) (*Server, error) {
	return nil, errcode.New(errcode.WorkflowService,
		"this program was built without the embedded Temporal server (build tag noembed): give the address of a Temporal service with --temporal host:port or TEMPORAL_ADDRESS")
}

// HostPort returns "".
func (*Server) HostPort() string { return "" }

// UIAddr returns "".
func (*Server) UIAddr() string { return "" }

// Stop does nothing.
func (*Server) Stop() error { return nil }
