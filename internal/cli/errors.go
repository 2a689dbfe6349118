package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/errcode"
)

// The exit codes.
const (
	ExitOK       = 0
	ExitFailure  = 1
	ExitUsage    = 2
	ExitDetached = 130 // Ctrl-C, as shells have it; an import goes on
)

// A UsageError is a command line that cannot be understood.
type UsageError struct {
	Message string
	Command string // whose --help explains it
}

// Error implements error.
func (e *UsageError) Error() string { return e.Message }

// Usage returns a UsageError of the command.
func Usage(cmd *cobra.Command, format string, args ...any) error {
	return &UsageError{Message: fmt.Sprintf(format, args...), Command: cmd.CommandPath()}
}

// Args makes the errors of an argument check usage errors.
func Args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return Usage(cmd, "%v", err)
		}
		return nil
	}
}

// ErrDetached ends a command that the user left with Ctrl-C, having said so.
var ErrDetached = errors.New("detached")

// ErrReported ends a command with failure when everything has been said.
var ErrReported = errors.New("reported")

// ExitCode returns the exit code that err stands for.
func ExitCode(err error) int {
	var usage *UsageError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &usage):
		return ExitUsage
	case errors.Is(err, ErrDetached), errors.Is(err, context.Canceled):
		return ExitDetached
	default:
		return ExitFailure
	}
}

// Detail returns an error in the form in which it is shown.
func Detail(err error) wire.ErrorDetail {
	d := errcode.Lookup(errcode.Of(err))
	out := wire.ErrorDetail{Code: d.Code, Message: err.Error(), Remedy: d.Remedy}
	if e, ok := errcode.As(err); ok {
		out.Code, out.Message, out.Evidence = e.Code, e.Message, e.Evidence
	} else {
		// An error of this machine, such as a full disk: its own words say
		// more than that it was not foreseen.
		out.Remedy = ""
	}
	return out
}

// PrintError writes an error for people, or as JSON. It writes nothing for what
// has been said.
func PrintError(w io.Writer, err error, asJSON bool) {
	var usage *UsageError
	switch {
	case err == nil, errors.Is(err, ErrDetached), errors.Is(err, ErrReported), errors.Is(err, context.Canceled):
	case errors.As(err, &usage):
		fmt.Fprintf(w, "error: %s\nSee `%s --help`.\n", usage.Message, usage.Command)
	default:
		PrintDetail(w, Detail(err), asJSON)
	}
}

// PrintDetail writes an error's code and message, its evidence, and what can be
// done about it.
func PrintDetail(w io.Writer, d wire.ErrorDetail, asJSON bool) {
	if asJSON {
		_ = PrintJSON(w, map[string]any{"error": d})
		return
	}
	fmt.Fprintf(w, "error: %s %s\n", d.Code, Clean(d.Message))
	if d.Stage != "" {
		fmt.Fprintf(w, "  stage: %s\n", Clean(d.Stage))
	}
	if ev := evidence(d.Evidence); ev != "" {
		fmt.Fprintf(w, "  evidence: %s\n", ev)
	}
	if d.Remedy != "" {
		fmt.Fprintf(w, "  what to do: %s\n", Clean(d.Remedy))
	}
}

func evidence(ev *errcode.Evidence) string {
	if ev == nil {
		return ""
	}
	out := ""
	add := func(name, value string) {
		if value != "" {
			if out != "" {
				out += ", "
			}
			out += name + " " + Clean(value)
		}
	}
	add("format", ev.Format)
	add("structure", ev.Structure)
	add("field", ev.Field)
	if ev.Offset != nil {
		add("offset", fmt.Sprint(*ev.Offset))
	}
	add("value", ev.Value)
	add("limit", ev.Limit)
	return out
}

// PrintJSON writes a value as indented JSON.
func PrintJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
