// Command ingest takes virtual disk images from where they are, checks them,
// converts them and puts them into an image catalogue that OpenStack clients
// can talk to. It is the server, the worker and the command line in one.
//
// Each file beside this one is one subcommand, and wires packages together.
package main

import (
	"context"
	"io"
	"os"
	_ "time/tzdata" // schedules name time zones, and not every host knows them

	"ingest/internal/capacity"
)

func main() {
	capacity.KeepWithin()
	os.Exit(profiled(func() int { return run(context.Background(), os.Args[1:], os.Stdout, os.Stderr) }))
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	g := &globals{}
	return execute(ctx, g, commands(g), args, stdout, stderr)
}
