package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/errcode"
)

// A startError says why the server could not be started. It is for the operator
// before the terminal, who may see paths and causes.
type startError struct{ detail wire.ErrorDetail }

// Error implements error.
func (e *startError) Error() string { return e.detail.Message }

// notStarted explains err, which came up while what was done. What to do about
// it depends on what the machine said, and else is what the caller says.
func notStarted(err error, what, remedy string) error {
	if err == nil {
		return nil
	}
	d := wire.ErrorDetail{Code: errcode.Of(err), Message: what + ": " + causes(err), Remedy: remedy}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		d.Code, d.Remedy = errcode.Conflict, "Stop the program that listens there (another ingest?), or choose another port; port 0 takes a free one."
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		d.Code, d.Remedy = errcode.BadRequest, "Choose an address of this machine, such as 127.0.0.1:9292."
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		d.Code, d.Remedy = errcode.Forbidden, "Let the user who runs ingest write there, or choose another --data-dir or port."
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		d.Code, d.Remedy = errcode.NoSpace, "Free space, or choose a --data-dir on another disk."
	case d.Code == errcode.Internal && remedy != "":
		d.Code = errcode.BadRequest // of the place, which the remedy names
	case remedy == "":
		d.Remedy = errcode.Lookup(d.Code).Remedy
	}
	return &startError{d}
}

// reported prints a startError as a person before the terminal may see it.
func reported(cmd *cobra.Command, g *globals, err error) error {
	var failed *startError
	if !errors.As(err, &failed) {
		return err
	}
	cli.PrintDetail(cmd.ErrOrStderr(), failed.detail, g.json)
	return cli.ErrReported
}

// causes writes an error with the causes that its own text leaves out.
func causes(err error) string {
	var parts []string
	for ; err != nil; err = errors.Unwrap(err) {
		text := err.Error()
		if e, ok := err.(*errcode.Error); ok {
			text = e.Message
		}
		if n := len(parts); n == 0 || !strings.Contains(parts[n-1], text) {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ": ")
}

// folder says what to do about a data folder that cannot be used.
func folder(dir string) string {
	return fmt.Sprintf("See what stands at %s, or choose another --data-dir.", dir)
}
