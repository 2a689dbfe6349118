package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/client"
	"ingest/internal/errcode"
)

// globals are the flags that every subcommand has.
type globals struct {
	server  string
	project string
	token   string
	json    bool
	quiet   bool
	cloud   cloudFlags
}

// newRootCommand returns the command that holds the subcommands.
func newRootCommand(g *globals, subcommands []*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:   "ingest",
		Short: "Convert virtual disk images and import them into an image catalogue",
		Long: `Convert virtual disk images and import them into an image catalogue.

ingest takes a disk image from where it is, proves that it is safe and whole,
turns it into the format that the cloud wants, and puts it into a catalogue that
OpenStack clients can talk to.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted.`,
		Example: `  # start everything on this machine
  ingest serve

  # import an image and follow it to its end
  ingest import https://example.org/disk.vmdk --name debian`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := ""
			if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
				hint = "; did you mean " + strings.Join(s, " or ") + "?"
			}
			return cli.Usage(cmd, "unknown command %q%s", args[0], hint)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	f := root.PersistentFlags()
	f.StringVar(&g.server, "server", os.Getenv("INGEST_URL"), "address of the server (INGEST_URL; default "+client.DefaultServer+")")
	f.StringVar(&g.project, "project", os.Getenv("INGEST_PROJECT"), "project on whose behalf to ask (INGEST_PROJECT; default \"default\")")
	f.StringVar(&g.token, "token", os.Getenv("INGEST_TOKEN"), "token of who asks, of a server that wants one (INGEST_TOKEN, which others on this machine cannot read)")
	// Help says the same whatever the environment holds, and no secret.
	f.Lookup("server").DefValue, f.Lookup("project").DefValue, f.Lookup("token").DefValue = "", "", ""
	g.cloud.declare(root)
	f.BoolVar(&g.json, "json", false, "print results and errors as JSON")
	f.BoolVarP(&g.quiet, "quiet", "q", false, "show no progress and no notices")
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return cli.Usage(cmd, "%v", err) })
	addGroups(root)
	root.AddCommand(subcommands...)
	return root
}

// execute runs a command line against the given subcommands.
func execute(ctx context.Context, g *globals, subcommands []*cobra.Command, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand(g, subcommands)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var usage *cli.UsageError
	// A wrong flag ends the reading of flags, perhaps before --json.
	if (g.json || slices.Contains(args, "--json")) && errors.As(err, &usage) {
		cli.PrintDetail(stderr, wire.ErrorDetail{Code: errcode.BadRequest, Message: usage.Message, Remedy: "See `" + usage.Command + " --help`."}, true)
	} else {
		cli.PrintError(stderr, err, g.json)
	}
	return cli.ExitCode(err)
}

// group returns a command that only holds others.
func group(use, short, example string, subcommands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.Usage(cmd, "unknown command %q of %s", args[0], cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(subcommands...)
	return cmd
}

// notice tells something beside the result, unless asked to be quiet.
func (g *globals) notice(cmd *cobra.Command, format string, args ...any) {
	if !g.quiet {
		fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
	}
}
