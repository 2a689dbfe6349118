package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/client"
	"ingest/internal/contract"
	"ingest/internal/logging"
	"ingest/internal/progress"
)

func newTaskCommand(g *globals) *cobra.Command {
	cmd := group("task", "List, show, watch, pause, retry and cancel imports",
		`  ingest task list --status failure
  ingest task watch 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60`,
		newTaskListCommand(g), newTaskShowCommand(g), newTaskWatchCommand(g), newTaskCancelCommand(g))
	cmd.AddCommand(steerCommands(g)...)
	return cmd
}

func newTaskListCommand(g *globals) *cobra.Command {
	var status, image string
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tasks, newest first",
		Example: `  ingest task list
  ingest task list --status failure --limit 5 --json`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return cli.Usage(cmd, "--limit %d is less than 0", limit)
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			q := url.Values{}
			addFilter(q, "status", status)
			addFilter(q, "image_id", image)
			tasks, err := c.Tasks(cmd.Context(), q, limit)
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), wire.TaskList{Tasks: orEmpty(tasks)})
			}
			rows := make([][]string, 0, len(tasks))
			for _, t := range tasks {
				why := t.Message
				if t.Error != nil {
					why = string(t.Error.Code)
				}
				rows = append(rows, []string{t.ID, t.Status, t.Stage, t.ImageID, cli.Time(t.CreatedAt), why})
			}
			return cli.Table(cmd.OutOrStdout(), []string{"TASK", "STATUS", "STAGE", "IMAGE", "CREATED", "MESSAGE"}, rows)
		},
	}
	cmd.Flags().StringVar(&status, "status", "", "only tasks in this status: pending, processing, success, failure")
	cmd.Flags().StringVar(&image, "image", "", "only tasks of the image with this id")
	cmd.Flags().IntVar(&limit, "limit", 50, "list at most so many, 0 for all")
	return cmd
}

func newTaskShowCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "show TASK",
		Short: "Show a task with its whole history, and what its source was found to be",
		Example: `  ingest task show 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60
  ingest task show 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60 --json`,
		Args:              cli.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: g.completeTask,
		RunE: answered(g, func(ctx context.Context, c *client.Client, args []string) (wire.Task, error) {
			return c.Task(ctx, args[0])
		}, printTask),
	}
}

func printTask(cmd *cobra.Command, t wire.Task) error {
	out := cmd.OutOrStdout()
	restarts := ""
	if t.Restarts > 0 {
		restarts = fmt.Sprint(t.Restarts)
	}
	paused := ""
	if t.Paused {
		paused = "yes"
	}
	err := cli.Fields(out, "id", t.ID, "status", t.Status, "paused", paused, "stage", t.Stage, "image", t.ImageID, "further images", furtherImages(t), "source", sourceOf(t), "members", membersIn(t), "type", t.Type,
		"restarts", restarts, "priority", fmt.Sprint(t.Priority), "retry of", t.RetryOf, "owner", t.Owner, "workflow", t.WorkflowID, "idempotency key", t.IdempotencyKey, "request", t.RequestID,
		"message", t.Message, "created", cli.Time(t.CreatedAt), "updated", cli.Time(t.UpdatedAt))
	if err != nil {
		return err
	}
	if len(t.Events) > 0 {
		rows := make([][]string, 0, len(t.Events))
		for _, e := range t.Events {
			rows = append(rows, eventRow(e))
		}
		fmt.Fprintln(out)
		if err := cli.Table(out, []string{"AT", "KIND", "STAGE", ">BYTES", ">TOOK", "MESSAGE"}, rows); err != nil {
			return err
		}
	}
	if err := writeVerdict(out, t.Events); err != nil {
		return err
	}
	if t.Error != nil {
		fmt.Fprintln(out)
		cli.PrintDetail(out, *t.Error, false)
	}
	return nil
}

// furtherImages names the images of the disks behind the first one.
func furtherImages(t wire.Task) string {
	if t.Result == nil || len(t.Result.Images) < 2 {
		return ""
	}
	var all []string
	for _, img := range t.Result.Images[1:] {
		all = append(all, img.ImageID)
	}
	return strings.Join(all, " ")
}

// sourceOf names what a task imports, without what may be secret in a URL:
// terminals are shown to others. --json has the request as it was sent.
func sourceOf(t wire.Task) string {
	var req contract.ImportRequest
	if json.Unmarshal(t.Request, &req) != nil {
		return ""
	}
	return openly(req.Source.URL)
}

// openly is a source's URL or path without what may be secret.
func openly(url string) string {
	if !strings.Contains(url, "://") {
		return url
	}
	return logging.URL(url)
}

// membersIn names the other files of what a task imports, as sourceOf does.
func membersIn(t wire.Task) string {
	var req contract.ImportRequest
	if json.Unmarshal(t.Request, &req) != nil {
		return ""
	}
	var all []string
	for _, m := range req.Source.Members {
		all = append(all, openly(m.URL))
	}
	return strings.Join(all, ", ")
}

func eventRow(e wire.Event) []string {
	bytes, took, msg := "", "", e.Message
	if e.Bytes > 0 {
		bytes = progress.Bytes(e.Bytes)
	}
	if e.Seconds > 0 {
		took = progress.Duration(time.Duration(e.Seconds * float64(time.Second)))
	}
	if disk := contract.DiskInMessage(msg); e.Kind == "stage" && (msg == "" || disk > 0) {
		msg = "begins"
		if e.Seconds > 0 {
			msg = "ends"
		}
		if disk > 0 {
			msg += fmt.Sprintf(", disk %d", disk)
		}
	}
	if inside := cli.Inside(e); inside != "" && msg == "" {
		msg = "inside: " + inside
	}
	if e.Attempt > 1 {
		msg = fmt.Sprintf("attempt %d  %s", e.Attempt, msg)
	}
	if e.Code != "" {
		msg = e.Code + " " + msg
	} else if e.Status != "" {
		msg = e.Status + " " + msg
	}
	return []string{cli.Time(e.At), e.Kind, e.Stage, bytes, took, msg}
}

func newTaskWatchCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "watch TASK",
		Short:             "Follow a task until it has ended",
		Long:              "Follow a task until it has ended, and exit with 1 if it fails. Ctrl-C stops watching, not the task.",
		Example:           `  ingest task watch 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60`,
		Args:              cli.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: g.completeTask,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			task, err := follow(ctx, cmd, g, c, args[0])
			if err != nil {
				return err
			}
			return printOutcome(cmd, g, c, task)
		},
	}
}

func newTaskCancelCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "cancel TASK",
		Short:             "Ask a task to stop and to clean up",
		Example:           `  ingest task cancel 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60`,
		Args:              cli.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: g.completeTask,
		RunE: answered(g, func(ctx context.Context, c *client.Client, args []string) (wire.Task, error) {
			return c.Cancel(ctx, args[0])
		},
			func(cmd *cobra.Command, t wire.Task) error {
				g.notice(cmd, "task %s is asked to stop (ingest task show %s tells when it has)", t.ID, t.ID)
				return nil
			}),
	}
}

// addFilter sets a filter that was asked for.
func addFilter(q url.Values, key, value string) {
	if value != "" {
		q.Set(key, value)
	}
}

// orEmpty makes JSON show a list without rows as one.
func orEmpty[T any](rows []T) []T {
	if rows == nil {
		return []T{}
	}
	return rows
}
