package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/internal/client"
	"ingest/internal/cloud"
	"ingest/internal/replicate"
)

func newReplicateCommand(g *globals) *cobra.Command {
	return group("replicate", "Keep two image services in step, each a Glance or an ingest",
		`  ingest replicate compare east west
  ingest replicate livecopy east west --dry-run
  ingest replicate livecopy https://images.example.org:9292 http://127.0.0.1:9292
  ingest replicate dump east /srv/dump
  ingest replicate load /srv/dump west`,
		newReplicateSizeCommand(g),
		replication(g, "compare FROM TO", "Say how the images at TO differ from those at FROM", true, replicate.Compare),
		replication(g, "livecopy FROM TO", "Bring TO in line with FROM: images that are missing, and fields that differ", false, replicate.Livecopy),
		newReplicateDumpCommand(g), newReplicateLoadCommand(g))
}

// replicationHelp says how services are named.
const replicationHelp = `

A service is the name of a cloud of clouds.yaml, or the URL of an image service; of the
latter, INGEST_FROM_TOKEN and INGEST_TO_TOKEN hold the tokens. An image is the same in
both if it has the same id. Its bytes are copied once, and must have the source's digest.
What a run leaves that was cut off, the next one goes on with.`

// replicaFlags are those of all directions.
type replicaFlags struct {
	o      replicate.Options
	ignore []string
}

func (f *replicaFlags) declare(cmd *cobra.Command, changes bool) {
	fl := cmd.Flags()
	fl.IntVar(&f.o.Parallel, "parallel", 2, "images that are worked on at once, 1 to 32")
	fl.StringSliceVar(&f.ignore, "ignore", nil, "`FIELD[,FIELD]` that are neither compared nor copied, such as visibility")
	if changes {
		fl.BoolVar(&f.o.DryRun, "dry-run", false, "say what would be done, and do nothing")
		fl.BoolVar(&f.o.MetadataOnly, "metadata-only", false, "leave bytes alone")
	}
}

// run runs a direction and prints what came of it.
func (f *replicaFlags) run(g *globals, cmd *cobra.Command, work func(context.Context, replicate.Options) ([]replicate.Outcome, error)) error {
	if f.o.Parallel < 1 || f.o.Parallel > 32 {
		return cli.Usage(cmd, "--parallel %d is not from 1 to 32", f.o.Parallel)
	}
	f.o.Ignore = f.ignore
	f.o.Done = func(o replicate.Outcome) { g.notice(cmd, "%s  %s  %s", o.ID, o.Status, cli.Clean(o.Name)) }
	ctx, stop := interruptible(cmd)
	defer stop()
	all, err := work(ctx, f.o)
	if len(all) > 0 || err == nil {
		if err := printOutcomes(g, cmd, all); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	for _, o := range all {
		if o.Status == replicate.Failed {
			return cli.ErrReported
		}
	}
	return nil
}

func printOutcomes(g *globals, cmd *cobra.Command, all []replicate.Outcome) error {
	if g.json {
		return cli.PrintJSON(cmd.OutOrStdout(), map[string]any{"images": orEmpty(all)})
	}
	rows := make([][]string, 0, len(all))
	for _, o := range all {
		said := []string{}
		for _, d := range o.Fields {
			said = append(said, d.Field)
		}
		if o.Reason != "" {
			said = append(said, strings.TrimSpace(string(o.Code)+" "+o.Reason))
		}
		rows = append(rows, []string{o.ID, o.Name, o.Status, fmt.Sprint(o.Size), strings.Join(said, ", ")})
	}
	return cli.Table(cmd.OutOrStdout(), []string{"IMAGE", "NAME", "OUTCOME", ">BYTES", "DETAIL"}, rows)
}

// service returns a client of a service by the name of its cloud, or its URL.
func (g *globals) service(name, tokenName string) (*client.Client, error) {
	if !strings.Contains(name, "://") {
		c, _, err := cloudService(name)
		return c, err
	}
	c, err := client.New(name, g.project)
	if err != nil {
		return nil, err
	}
	return c, c.UseToken(os.Getenv(tokenName))
}

// cloudService returns a client of the image service of a cloud of clouds.yaml, and where
// that is.
func cloudService(name string) (c *client.Client, at string, err error) {
	s, err := cloud.Named(name, os.Getenv)
	if err != nil {
		return nil, "", err
	}
	session, err := cloud.Open(context.Background(), s)
	if err != nil {
		return nil, "", err
	}
	if c, err = client.New(session.Endpoint(), ""); err != nil {
		return nil, "", err
	}
	c.UseTLS(session.TLS())
	c.UseTokens(session)
	return c, session.Endpoint(), nil
}

const (
	fromToken = "INGEST_FROM_TOKEN"
	toToken   = "INGEST_TO_TOKEN"
)

func newReplicateSizeCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "size FROM", Short: "Say how many images a service shows, and how many bytes they have", Args: cli.Args(cobra.ExactArgs(1)),
		Example: `  ingest replicate size east`,
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := g.service(args[0], fromToken)
			if err != nil {
				return err
			}
			n, err := replicate.Size(cmd.Context(), from)
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), n)
			}
			return cli.Fields(cmd.OutOrStdout(), "images", fmt.Sprint(n.Images), "bytes", sizeField(&n.Bytes))
		},
	}
}

// replication is a command between two services.
func replication(g *globals, use, short string, looks bool, work func(context.Context, replicate.Service, replicate.Service, replicate.Options) ([]replicate.Outcome, error)) *cobra.Command {
	var f replicaFlags
	name, _, _ := strings.Cut(use, " ")
	cmd := &cobra.Command{
		Use: use, Short: short, Long: short + "." + replicationHelp, Args: cli.Args(cobra.ExactArgs(2)),
		Example: "  ingest replicate " + name + " east west",
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := g.service(args[0], fromToken)
			if err != nil {
				return err
			}
			to, err := g.service(args[1], toToken)
			if err != nil {
				return err
			}
			return f.run(g, cmd, func(ctx context.Context, o replicate.Options) ([]replicate.Outcome, error) {
				return work(ctx, from, to, o)
			})
		},
	}
	f.declare(cmd, !looks)
	return cmd
}

func newReplicateDumpCommand(g *globals) *cobra.Command {
	var f replicaFlags
	cmd := &cobra.Command{
		Use: "dump FROM DIR", Short: "Write the images of a service into a folder", Long: "Write the images of a service into a folder: ID.json and ID.img of each." + replicationHelp,
		Args: cli.Args(cobra.ExactArgs(2)), Example: `  ingest replicate dump east /srv/dump`,
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := g.service(args[0], fromToken)
			if err != nil {
				return err
			}
			return f.run(g, cmd, func(ctx context.Context, o replicate.Options) ([]replicate.Outcome, error) {
				return replicate.Dump(ctx, from, args[1], o)
			})
		},
	}
	f.declare(cmd, true)
	return cmd
}

func newReplicateLoadCommand(g *globals) *cobra.Command {
	var f replicaFlags
	cmd := &cobra.Command{
		Use: "load DIR TO", Short: "Bring a service in line with a folder that dump has written", Long: "Bring a service in line with a folder that dump has written." + replicationHelp,
		Args: cli.Args(cobra.ExactArgs(2)), Example: `  ingest replicate load /srv/dump west`,
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := g.service(args[1], toToken)
			if err != nil {
				return err
			}
			return f.run(g, cmd, func(ctx context.Context, o replicate.Options) ([]replicate.Outcome, error) {
				return replicate.Load(ctx, args[0], to, o)
			})
		},
	}
	f.declare(cmd, true)
	return cmd
}
