package main

import (
	"context"
	"os"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/client"
	"ingest/internal/cloud"
)

// cloning are the flags of ingest image clone.
type cloning struct {
	what       client.Clone
	cloud      string // of clouds.yaml
	name       string
	visibility string
	protected  bool
	stores     storesFlags
	noWait     bool
}

func newImageCloneCommand(g *globals) *cobra.Command {
	var f cloning
	cmd := &cobra.Command{
		Use:   "clone IMAGE",
		Short: "Have the server copy an image of another Glance or ingest, properties and all",
		Long: `Have the server copy an image of another Glance or ingest, properties and all, and follow
it until it is there.

IMAGE is the image's id there. The server reads the image from its image service: at
--from URL; in the region that the operator has named, --from-region; or where the cloud
of --credential lists it. With --from-cloud the address, and the id of an image that is
named, are looked up in a cloud of clouds.yaml; a secret that the server needs is still
one of its credentials.

The bytes are kept as they are, must be of the format that they are said to be, and must
have the digest that the image service keeps. Properties, tags, minima and the name are
taken over; the clone is private and not protected unless --visibility and --protected
say so. With --same-id it has the id of its source. Ctrl-C stops watching, not the clone.`,
		Example: `  ingest image clone 0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11 --from https://images.east.example.org:9292
  ingest image clone debian-12 --from-cloud east --credential east --same-id
  ingest image clone 0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11 --from-region east --name debian-12-east --store archive`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.what.Source.ImageID = args[0]
			return f.run(g, cmd)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.what.Source.URL, "from", "", "`URL` of the image service that has the image")
	fl.StringVar(&f.cloud, "from-cloud", "", "cloud of clouds.yaml whose image service has the image")
	fl.StringVar(&f.what.Source.Region, "from-region", "", "region whose image service has the image, as the server's operator calls it")
	fl.StringVar(&f.what.Source.Credential, "credential", "", "`NAME` of a credential of the server for that image service")
	fl.BoolVar(&f.what.SameID, "same-id", false, "give the clone the id of its source")
	fl.StringVar(&f.what.ImageID, "id", "", "id of the clone, a UUID (default: the server chooses)")
	fl.StringVar(&f.name, "name", "", "name of the clone (default: that of its source)")
	fl.StringVar(&f.visibility, "visibility", "", "who sees the clone: private (default), shared, community, public")
	fl.BoolVar(&f.protected, "protected", false, "keep the clone from being deleted")
	f.stores.declare(fl, "store to put the bytes into; may be repeated", "put the bytes into every store")
	fl.BoolVar(&f.noWait, "no-wait", false, "submit and do not follow")
	cmd.RegisterFlagCompletionFunc("from-cloud", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return cloud.Clouds(os.Getenv), cobra.ShellCompDirectiveNoFileComp
	})
	cmd.RegisterFlagCompletionFunc("visibility", cobra.FixedCompletions([]string{"private", "shared", "community", "public"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (f *cloning) run(g *globals, cmd *cobra.Command) error {
	ctx, stop := interruptible(cmd)
	defer stop()
	if err := f.find(ctx, cmd); err != nil {
		return err
	}
	var err error
	if f.what.StoresSpec, err = f.stores.spec(cmd); err != nil {
		return err
	}
	f.what.Properties = map[string]any{}
	for name, value := range map[string]string{"name": f.name, "visibility": f.visibility} {
		if value != "" {
			f.what.Properties[name] = value
		}
	}
	if f.protected {
		f.what.Properties["protected"] = true
	}
	c, err := g.client()
	if err != nil {
		return err
	}
	t, err := c.Clone(ctx, f.what)
	if err != nil {
		return err
	}
	if f.noWait {
		return printSubmitted(cmd, g, wire.Submitted{TaskID: t.ID, ImageID: t.ImageID, Status: t.Status, Started: true})
	}
	g.notice(cmd, "task %s, image %s", t.ID, t.ImageID)
	if t, err = follow(ctx, cmd, g, c, t.ID); err != nil {
		return err
	}
	return printOutcome(cmd, g, c, t)
}

// find says which image is meant, and where it is.
func (f *cloning) find(ctx context.Context, cmd *cobra.Command) error {
	from, given := &f.what.Source, 0
	for _, s := range []string{from.URL, f.cloud, from.Region} {
		if s != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return cli.Usage(cmd, "--from, --from-cloud and --from-region name one image service each")
	case given == 0 && from.Credential == "":
		return cli.Usage(cmd, "from where? Give --from URL, --from-cloud NAME or --from-region NAME, or a --credential whose cloud it is")
	case f.what.SameID && f.what.ImageID != "":
		return cli.Usage(cmd, "--same-id and --id are two ids")
	}
	if f.cloud != "" {
		c, at, err := cloudService(f.cloud)
		if err != nil {
			return err
		}
		img, err := findImage(ctx, c, from.ImageID)
		from.URL, from.ImageID = at, img.ID
		return err
	}
	if id, err := uuid.Parse(from.ImageID); err == nil {
		from.ImageID = id.String()
		return nil
	}
	return cli.Usage(cmd, "%q is no id: an image is named by its id, or with --from-cloud by its name", from.ImageID)
}
