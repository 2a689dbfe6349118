package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/internal/credentials"
)

func newCredentialCommand(g *globals) *cobra.Command {
	return group("credential", "List and check the named credentials of sources and stores",
		`  ingest credential list --credentials /etc/ingest/credentials
  ingest credential check --credentials /etc/ingest/credentials`,
		newCredentialListCommand(g), newCredentialCheckCommand(g))
}

// credentialsFlag declares the flag of the file, which the variable of the
// server stands for too.
func credentialsFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("credentials", os.Getenv("INGEST_CREDENTIALS"), "file of named credentials, of mode 0600")
}

func newCredentialListCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List names, types and bindings, never secrets",
		Long: `List the credentials of this machine's file and environment: their names,
types, and the hosts, projects and buckets that they are bound to. Secrets are
not shown.

An import names one with --credential; the server or worker that opens the
source looks it up.`,
		Example: `  ingest credential list --credentials /etc/ingest/credentials
  INGEST_CREDENTIALS=/etc/ingest/credentials ingest credential list --json`,
		Args: cli.Args(cobra.NoArgs),
	}
	path := credentialsFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		list, err := listCredentials(*path)
		if err != nil {
			return err
		}
		if g.json {
			return cli.PrintJSON(cmd.OutOrStdout(), map[string]any{"credentials": orEmpty(list)})
		}
		rows := make([][]string, 0, len(list))
		for _, c := range list {
			rows = append(rows, []string{c.Name, c.Type, joined(c.Hosts), joined(c.Projects), joined(c.Buckets)})
		}
		return cli.Table(cmd.OutOrStdout(), []string{"NAME", "TYPE", "HOSTS", "PROJECTS", "BUCKETS"}, rows)
	}
	return cmd
}

func newCredentialCheckCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the file: its mode, its text, that each credential is whole and bound",
		Example: `  ingest credential check --credentials /etc/ingest/credentials
  ingest credential check --json`,
		Args: cli.Args(cobra.NoArgs),
	}
	path := credentialsFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		list, err := listCredentials(*path)
		if err != nil {
			return err
		}
		if g.json {
			return cli.PrintJSON(cmd.OutOrStdout(), map[string]any{"ok": true, "credentials": len(list)})
		}
		cmd.Printf("%d credentials are whole and bound\n", len(list))
		return nil
	}
	return cmd
}

func listCredentials(path string) ([]credentials.Listed, error) {
	v, err := credentials.Open(path, os.Environ())
	if err != nil {
		return nil, err
	}
	return v.List()
}

// joined lists what a credential is bound to, "any" where it is not.
func joined(list []string) string {
	if len(list) == 0 {
		return "any"
	}
	return strings.Join(list, ", ")
}
