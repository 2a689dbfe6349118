package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/progress"
)

// interruptible returns the command's context, ended by Ctrl-C and SIGTERM too.
func interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
}

// follow shows a task's progress until it has ended. Ctrl-C detaches from it.
func follow(ctx context.Context, cmd *cobra.Command, g *globals, c cli.Watcher, taskID string) (wire.Task, error) {
	d := progress.New(cmd.ErrOrStderr(), g.quiet)
	defer d.Close()
	task, err := cli.Follow(ctx, c, taskID, d)
	if errors.Is(err, context.Canceled) {
		d.Close()
		g.notice(cmd, "Stopped watching; the import goes on.\n  watch:  ingest task watch %s\n  cancel: ingest task cancel %s", taskID, taskID)
		return task, cli.ErrDetached
	}
	if err == nil && task.Status == "success" {
		d.Done("")
	}
	return task, err
}
