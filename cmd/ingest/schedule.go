package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/client"
	"ingest/internal/errcode"
	"ingest/internal/importer"
	"ingest/internal/reconcile"
	"ingest/metadata"
)

// schedules is what the API knows of the workflow service's schedules.
type schedules struct {
	*importer.Scheduler
	catalogue *metadata.Catalogue
}

// Tell makes the service know a schedule as the catalogue has it.
func (s schedules) Tell(ctx context.Context, id string) error {
	return reconcile.Tell(ctx, s.catalogue, s.Scheduler, id)
}

// scheduler keeps schedules on the service in use.
func (s *services) scheduler() schedules {
	return schedules{importer.NewScheduler(s.client, s.namespace), s.catalogue}
}

// keepSchedules tells the service of schedules that it has not heard of, or has lost.
func (s *services) keepSchedules(ctx context.Context) {
	keeper := &reconcile.Schedules{Catalogue: s.catalogue, Service: s.scheduler(), Log: s.log}
	go keeper.Run(ctx, 5*time.Second)
}

func newScheduleCommand(g *globals) *cobra.Command {
	return group("schedule", "Import a source again whenever it has changed, and let a name point at its newest version",
		`  ingest schedule create ubuntu-24.04 https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img --cron '30 4 * * *' --trust digest
  ingest schedule show ubuntu-24.04`,
		newScheduleCreateCommand(g), newScheduleListCommand(g), newScheduleShowCommand(g), newSchedulePauseCommand(g), newScheduleResumeCommand(g),
		newScheduleTriggerCommand(g), newScheduleBackfillCommand(g), newScheduleRollbackCommand(g), newScheduleDeleteCommand(g))
}

// findSchedule returns the schedule that a person names, by its id or by its name.
func findSchedule(ctx context.Context, c *client.Client, idOrName string) (wire.Schedule, error) {
	if uuid.Validate(idOrName) == nil {
		return c.Schedule(ctx, idOrName)
	}
	all, err := c.Schedules(ctx)
	if err != nil {
		return wire.Schedule{}, err
	}
	for _, s := range all {
		if s.Name == idOrName {
			return s, nil
		}
	}
	return wire.Schedule{}, errcode.New(errcode.NotFound, "there is no schedule with the id or name %q", idOrName)
}

// onSchedule is a command that finds a schedule and does something with it.
func onSchedule(g *globals, use, short, long, example string, do func(cmd *cobra.Command, c *client.Client, s wire.Schedule) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " SCHEDULE", Short: short, Long: long, Example: example, Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			s, err := findSchedule(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return do(cmd, c, s)
		},
	}
}

func newSchedulePauseCommand(g *globals) *cobra.Command {
	var note string
	cmd := onSchedule(g, "pause", "Pause a schedule", "Pause a schedule: it does not run by itself. A run that is under way goes on, and trigger runs it all the same.",
		`  ingest schedule pause ubuntu-24.04 --note "their mirror is broken"`,
		func(cmd *cobra.Command, c *client.Client, s wire.Schedule) error {
			s, err := c.PauseSchedule(cmd.Context(), s.ID, note)
			return changedSchedule(cmd, g, s, err, "is paused")
		})
	cmd.Flags().StringVar(&note, "note", "", "why")
	return cmd
}

func newScheduleResumeCommand(g *globals) *cobra.Command {
	return onSchedule(g, "resume", "Let a paused schedule go on", "", `  ingest schedule resume ubuntu-24.04`,
		func(cmd *cobra.Command, c *client.Client, s wire.Schedule) error {
			s, err := c.ResumeSchedule(cmd.Context(), s.ID)
			return changedSchedule(cmd, g, s, err, "goes on")
		})
}

// changedSchedule says that a schedule was changed.
func changedSchedule(cmd *cobra.Command, g *globals, s wire.Schedule, err error, how string) error {
	if err != nil {
		return err
	}
	if g.json {
		return cli.PrintJSON(cmd.OutOrStdout(), s)
	}
	g.notice(cmd, "schedule %s %s", s.Name, how)
	if s.Notice != "" {
		g.notice(cmd, "%s", s.Notice)
	}
	return nil
}

func newScheduleTriggerCommand(g *globals) *cobra.Command {
	var noWait bool
	cmd := onSchedule(g, "trigger", "Run a schedule now, and follow the run to its end",
		`Run a schedule now, and follow the run to its end. It looks whether the source has
changed, as every run does, and does nothing more if it has not. While another run is
under way, it is skipped, or waits, as the schedule's --overlap says.`,
		"  ingest schedule trigger ubuntu-24.04\n  ingest schedule trigger ubuntu-24.04 --no-wait --json",
		func(cmd *cobra.Command, c *client.Client, s wire.Schedule) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			sub, err := c.TriggerSchedule(ctx, s.ID)
			if err != nil {
				return err
			}
			if noWait {
				return printSubmitted(cmd, g, sub)
			}
			g.notice(cmd, "task %s", sub.TaskID)
			task, err := follow(ctx, cmd, g, c, sub.TaskID)
			if err != nil {
				return err
			}
			return printRun(cmd, g, task)
		})
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not follow the run")
	return cmd
}

// printRun prints how a run has ended. One that failed ends the command with 1.
func printRun(cmd *cobra.Command, g *globals, t wire.Task) error {
	if g.json {
		if err := cli.PrintJSON(cmd.OutOrStdout(), t); err != nil {
			return err
		}
	} else if err := cli.Fields(cmd.OutOrStdout(), "task", t.ID, "status", t.Status, "image", t.ImageID, "message", t.Message); err != nil {
		return err
	}
	if t.Error == nil {
		return nil
	}
	if !g.json {
		cli.PrintDetail(cmd.ErrOrStderr(), *t.Error, false)
	}
	return cli.ErrReported
}

func newScheduleBackfillCommand(g *globals) *cobra.Command {
	var from, to string
	cmd := onSchedule(g, "backfill", "Run a schedule once for each time that it had between two moments",
		`Run a schedule once for each time that it had between two moments, one run after the
other. Each looks at the source as it is now, so that all but the first find nothing new,
unless the source changes meanwhile: this is for drills and for histories without gaps.`,
		`  ingest schedule backfill ubuntu-24.04 --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z`,
		func(cmd *cobra.Command, c *client.Client, s wire.Schedule) error {
			var b wire.Backfill
			var err error
			if b.From, err = time.Parse(time.RFC3339, from); err != nil {
				return cli.Usage(cmd, "--from %q is not a time such as 2026-11-01T00:00:00Z", from)
			}
			b.To = time.Now()
			if to != "" {
				if b.To, err = time.Parse(time.RFC3339, to); err != nil {
					return cli.Usage(cmd, "--to %q is not a time such as 2026-11-01T00:00:00Z", to)
				}
			}
			got, err := c.BackfillSchedule(cmd.Context(), s.ID, b)
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), got)
			}
			g.notice(cmd, "schedule %s runs %d times (ingest schedule show %s tells of them)", s.Name, got.Runs, s.Name)
			return nil
		})
	cmd.Flags().StringVar(&from, "from", "", "first moment, such as 2026-11-01T00:00:00Z")
	cmd.Flags().StringVar(&to, "to", "", "last moment (default: now)")
	return cmd
}

func newScheduleRollbackCommand(g *globals) *cobra.Command {
	var to string
	cmd := onSchedule(g, "rollback", "Switch a schedule to an older version, at once",
		`Switch a schedule to an older version, at once: its images are shown again, those of
the version that was current are hidden. Runs do not switch to what the source has at
this moment again: the next switch comes with the next change of the source. With --to,
a newer version can be gone to again.`,
		"  ingest schedule rollback ubuntu-24.04\n  ingest schedule rollback ubuntu-24.04 --to 0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11",
		func(cmd *cobra.Command, c *client.Client, s wire.Schedule) error {
			got, err := c.RollbackSchedule(cmd.Context(), s.ID, to)
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), got)
			}
			return cli.Fields(cmd.OutOrStdout(), "current", got.CurrentImage, "before", got.PreviousImage)
		})
	cmd.Flags().StringVar(&to, "to", "", "`IMAGE` of the version (default: the one before the current)")
	return cmd
}

func newScheduleDeleteCommand(g *globals) *cobra.Command {
	return onSchedule(g, "delete", "End a schedule; its images stay", "End a schedule. All its images stay as they are: the current one is shown, the old ones are hidden.",
		`  ingest schedule delete ubuntu-24.04`,
		func(cmd *cobra.Command, c *client.Client, s wire.Schedule) error {
			if err := c.DeleteSchedule(cmd.Context(), s.ID); err != nil {
				return err
			}
			g.notice(cmd, "schedule %s is deleted", s.Name)
			return nil
		})
}

func newScheduleListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List schedules, the oldest first",
		Example: "  ingest schedule list\n  ingest schedule list --json",
		Args:    cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			all, err := c.Schedules(cmd.Context())
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), wire.ScheduleList{Schedules: orEmpty(all)})
			}
			rows := make([][]string, 0, len(all))
			for _, s := range all {
				rows = append(rows, []string{s.ID, s.Name, scheduleState(s), timingOf(s.Spec.Timing), s.CurrentImage, openly(s.Spec.Import.Source.URL)})
			}
			return cli.Table(cmd.OutOrStdout(), []string{"SCHEDULE", "NAME", "STATE", "RUNS", "CURRENT IMAGE", "SOURCE"}, rows)
		},
	}
}

// scheduleState is how a schedule does, in a word.
func scheduleState(s wire.Schedule) string {
	switch {
	case s.Paused:
		return "paused"
	case s.Pending:
		return "pending"
	case s.Held != nil:
		return "held"
	}
	return "active"
}

func newScheduleShowCommand(g *globals) *cobra.Command {
	return onSchedule(g, "show", "Show a schedule with its versions, its last runs and its next times", "", "  ingest schedule show ubuntu-24.04",
		func(cmd *cobra.Command, c *client.Client, s wire.Schedule) error {
			s, err := c.Schedule(cmd.Context(), s.ID)
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), s)
			}
			return printSchedule(cmd, g, s)
		})
}

func printSchedule(cmd *cobra.Command, g *globals, s wire.Schedule) error {
	out, spec := cmd.OutOrStdout(), s.Spec
	pairs := []string{"id", s.ID, "name", s.Name, "state", scheduleState(s), "note", s.Note, "source", openly(spec.Import.Source.URL), "order", spec.Order,
		"compared by", spec.Check, "trusted by", spec.Trust, "runs", timingOf(spec.Timing), "overlap", spec.Timing.Overlap,
		"image name", spec.Import.Image.Name, "current image", s.CurrentImage, "old versions", fmt.Sprintf("%s, keep %d", spec.Old, *spec.Filled().Keep)}
	if s.Held != nil {
		pairs = append(pairs, "held", "the version at "+s.Held.URL+" was rolled back")
	}
	for i, at := range s.Next {
		if i == 3 {
			break
		}
		pairs = append(pairs, "next", cli.Time(at))
	}
	if err := cli.Fields(out, pairs...); err != nil {
		return err
	}
	if len(s.Versions) > 0 {
		var rows [][]string
		for _, v := range s.Versions {
			rows = append(rows, []string{v.ImageID, v.Status, cli.Time(v.SwitchedAt), openly(v.Source.URL)})
		}
		fmt.Fprintln(out)
		if err := cli.Table(out, []string{"IMAGE", "STATUS", "SWITCHED", "SOURCE"}, rows); err != nil {
			return err
		}
	}
	if len(s.Runs) > 0 {
		var rows [][]string
		for _, r := range s.Runs {
			rows = append(rows, []string{r.TaskID, r.Outcome, cli.Time(r.CreatedAt), runMessage(r)})
		}
		fmt.Fprintln(out)
		if err := cli.Table(out, []string{"RUN", "OUTCOME", "AT", "BECAUSE"}, rows); err != nil {
			return err
		}
	}
	if s.Notice != "" {
		g.notice(cmd, "%s", s.Notice)
	}
	return nil
}

func runMessage(r wire.ScheduleRun) string {
	if r.Code != "" {
		return string(r.Code) + " " + cli.Clean(r.Message)
	}
	return cli.Clean(r.Message)
}
