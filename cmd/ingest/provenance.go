package main

import (
	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/internal/config"
	"ingest/internal/provenance"
)

// newProvenanceCommand returns `ingest provenance`: what an operator needs to sign
// records.
func newProvenanceCommand(g *globals) *cobra.Command {
	return group("provenance", "Make keys for provenance records",
		`  ingest provenance key new provenance.pem
  ingest serve --provenance-key provenance.pem`,
		group("key", "Make keys for provenance records", "  ingest provenance key new provenance.pem", newProvenanceKeyCommand(g)))
}

func newProvenanceKeyCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "new FILE",
		Short: "Make a pair of keys: the private one in FILE, the public one in FILE.pub",
		Long: `Make a pair of Ed25519 keys, in PEM. The private one in FILE is for the server
(--provenance-key) and nobody else; hand FILE.pub to those who verify. Neither file
may exist.`,
		Example: `  ingest provenance key new /etc/ingest/provenance.pem
  ingest serve --provenance-key /etc/ingest/provenance.pem`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := provenance.NewKey(args[0])
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), map[string]string{"private": args[0], "public": args[0] + ".pub", "keyid": k.ID()})
			}
			return cli.Fields(cmd.OutOrStdout(), "private", args[0], "public", args[0]+".pub", "key id", k.ID())
		},
	}
}

// recorder makes the server's provenance records.
func recorder(c *config.Server) (provenance.Recorder, error) {
	r := provenance.Recorder{Versions: provenance.Versions(version), NoAddress: !c.ProvenanceAddress}
	if c.ProvenanceKey == "" {
		return r, nil
	}
	var err error
	r.Key, err = provenance.LoadKey(c.ProvenanceKey)
	return r, notStarted(err, "the key for provenance records cannot be used", "Correct --provenance-key; `ingest provenance key new FILE` makes a pair.")
}
