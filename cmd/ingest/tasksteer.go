package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/client"
	"ingest/internal/contract"
)

// steerCommands are those that change how a task is worked on.
func steerCommands(g *globals) []*cobra.Command {
	return []*cobra.Command{
		steerCommand(g, "pause", "Let a task's work stand still, until it is resumed",
			"Let a task's work stand still at its next resume point. What it has fetched and\nwritten stays, and it stays paused when the server is started again.",
			"is paused (ingest task resume %s lets it go on)", (*client.Client).Pause),
		steerCommand(g, "resume", "Let a paused task go on where it was", "", "goes on (ingest task watch %s follows it)", (*client.Client).Resume),
		newTaskPriorityCommand(g),
		newTaskRetryCommand(g),
	}
}

func steerCommand(g *globals, name, what, long, notice string, do func(*client.Client, context.Context, string) (wire.Task, error)) *cobra.Command {
	return &cobra.Command{
		Use:               name + " TASK",
		Short:             what,
		Long:              long,
		Example:           "  ingest task " + name + " 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60",
		Args:              cli.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: g.completeTask,
		RunE: answered(g, func(ctx context.Context, c *client.Client, args []string) (wire.Task, error) {
			return do(c, ctx, args[0])
		},
			func(cmd *cobra.Command, t wire.Task) error {
				g.notice(cmd, "task %s "+notice, t.ID, t.ID)
				return nil
			}),
	}
}

func newTaskPriorityCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "priority TASK N",
		Short: "Give a task another place among those that wait",
		Long: `Give a task another place among those that wait: 0 to 9, the highest goes first, 5 is
that of tasks that ask for none. What runs already is not interrupted.`,
		Example:           `  ingest task priority 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60 9`,
		Args:              cli.Args(cobra.ExactArgs(2)),
		ValidArgsFunction: g.completeTask,
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[1])
			if err != nil || n < contract.MinPriority || n > contract.MaxPriority {
				return cli.Usage(cmd, "priority %q is not a number between %d and %d", args[1], contract.MinPriority, contract.MaxPriority)
			}
			set := func(ctx context.Context, c *client.Client, args []string) (wire.Task, error) {
				return c.SetPriority(ctx, args[0], n)
			}
			return answered(g, set, func(cmd *cobra.Command, t wire.Task) error {
				g.notice(cmd, "task %s has priority %d", t.ID, t.Priority)
				return nil
			})(cmd, args)
		},
	}
}

func newTaskRetryCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "retry TASK",
		Short: "Do what a failed task was to do, in a new task for the same image",
		Long: `Do what a failed task was to do, in a new task for the same image. The failed task
stays as it is; the new one names it.`,
		Example:           `  ingest task retry 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60`,
		Args:              cli.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: g.completeTask,
		RunE: answered(g, func(ctx context.Context, c *client.Client, args []string) (wire.Submitted, error) {
			return c.Retry(ctx, args[0])
		},
			func(cmd *cobra.Command, s wire.Submitted) error {
				g.notice(cmd, "task %s tries again (ingest task watch %s follows it)", s.TaskID, s.TaskID)
				return nil
			}),
	}
}
