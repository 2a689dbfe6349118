package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/internal/contract"
	"ingest/internal/logging"
	"ingest/internal/temporalclient"
)

// newTemporalCommand returns `ingest temporal`.
func newTemporalCommand(g *globals) *cobra.Command {
	return group("temporal", "Prepare a Temporal service for ingest",
		"  ingest temporal setup --temporal 127.0.0.1:7233", newTemporalSetupCommand(g))
}

func newTemporalSetupCommand(g *globals) *cobra.Command {
	var address, namespace string
	var retention, wait time.Duration
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Make the namespace and its search attributes, or bring them up to date",
		Long: `Make the namespace and its search attributes on a Temporal service, or bring them up
to date. It can be run again at any time. Without --temporal, the TEMPORAL_* variables
and profiles of the temporal command say which service it is.`,
		Example: `  ingest temporal setup --temporal 127.0.0.1:7233 --namespace ingest --retention 168h
  TEMPORAL_ADDRESS=temporal.example.org:7233 ingest temporal setup`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			o := temporalclient.Options{
				HostPort: address, Namespace: namespace, Env: true, Wait: wait,
				Logger: logging.New(cmd.ErrOrStderr(), logging.Console, zerolog.WarnLevel),
			}
			at, name, err := o.Address()
			if err != nil {
				return err
			}
			c, err := temporalclient.Dial(ctx, o)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := temporalclient.Setup(ctx, c, name, retention); err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), map[string]any{
					"address": at, "namespace": name, "search_attributes": contract.SearchAttributes(),
				})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "namespace %s on %s is ready\nsearch attributes: %s\n", name, at, strings.Join(contract.SearchAttributes(), ", "))
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&address, "temporal", "", "host:port of the service")
	f.StringVar(&namespace, "namespace", "", "namespace (default: the environment's, or default)")
	f.DurationVar(&retention, "retention", 0, "how long closed workflows stay readable (default 168h for a new namespace)")
	f.DurationVar(&wait, "wait", time.Minute, "how long to wait for a service that does not answer")
	return cmd
}
