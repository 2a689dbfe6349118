package main

import (
	"context"
	"encoding/hex"
	"encoding/json"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/client"
	"ingest/internal/errcode"
	"ingest/internal/progress"
	"ingest/internal/provenance"
)

// provenanceFlags are those of `ingest image provenance`.
type provenanceFlags struct {
	verify, data, envelope bool
	key                    string
}

func newImageProvenanceCommand(g *globals) *cobra.Command {
	var f provenanceFlags
	cmd := &cobra.Command{
		Use:   "provenance IMAGE",
		Short: "Show where an image's bytes come from, and verify the record",
		Long: `Show where an image's bytes come from: source, chain of formats, digests, what was
verified, found and decided on the way.

--verify holds the record against the catalogue: digests and sizes; with --key, the
record's signature against the operator's public key; with --data, the image's bytes,
which are read back from the server. Without --key nothing proves that the record is
the operator's: whoever can change the catalogue can change both.`,
		Example: `  ingest image provenance debian-12
  ingest image provenance debian-12 --verify --key provenance.pem.pub --data
  ingest image provenance debian-12 --envelope > debian-12.intoto.json`,
		Args:              cli.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: g.completeImage(cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case (f.key != "" || f.data) && !f.verify:
				return cli.Usage(cmd, "--key and --data belong to --verify")
			case f.envelope && (f.verify || g.json):
				return cli.Usage(cmd, "--envelope prints the record as it is kept, and goes with neither --verify nor --json")
			}
			return showProvenance(cmd, g, args[0], f)
		},
	}
	cmd.Flags().BoolVar(&f.verify, "verify", false, "hold the record against the catalogue, and fail if anything differs")
	cmd.Flags().StringVar(&f.key, "key", "", "with --verify: the operator's public key, PEM; the record must be signed by it")
	cmd.Flags().BoolVar(&f.data, "data", false, "with --verify: read the image's bytes back and take their digest")
	cmd.Flags().BoolVar(&f.envelope, "envelope", false, "print the record byte by byte as it is kept")
	return cmd
}

func showProvenance(cmd *cobra.Command, g *globals, name string, f provenanceFlags) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	img, err := findImage(ctx, c, name)
	if err != nil {
		return err
	}
	doc, err := c.Provenance(ctx, img.ID)
	if err != nil {
		return err
	}
	if f.envelope {
		_, err := cmd.OutOrStdout().Write(doc)
		return err
	}
	d, err := provenance.Open(doc)
	if err != nil {
		return err
	}
	var v *verdict
	var bad error
	if f.verify {
		v, bad = verifyProvenance(ctx, cmd, g, c, img, d, f)
		if v == nil {
			return bad
		}
	}
	if g.json {
		err = cli.PrintJSON(cmd.OutOrStdout(), shownProvenance{json.RawMessage(d.Payload), signers(d), v})
	} else {
		err = printProvenance(cmd.OutOrStdout(), d, v)
	}
	if bad != nil {
		return bad
	}
	return err
}

// shownProvenance is what --json prints.
type shownProvenance struct {
	Statement    json.RawMessage `json:"statement"`
	KeyIDs       []string        `json:"keyids"` // of the signatures, as the envelope claims
	Verification *verdict        `json:"verification,omitempty"`
}

// A verdict says what was held against what. Each text is "ok", "failed" or "not checked".
type verdict struct {
	Signature   string                  `json:"signature"`
	KeyID       string                  `json:"keyid,omitempty"` // that signed
	Catalogue   string                  `json:"catalogue"`
	Comparisons []provenance.Comparison `json:"comparisons"`
	Data        string                  `json:"data"`
	BytesRead   int64                   `json:"bytes_read"`
}

const (
	checkedOK     = "ok"
	checkedFailed = "failed"
	notChecked    = "not checked"
)

// verifyProvenance checks all that it is asked to, and returns the first thing that
// does not hold. There is no verdict if it could not be found out.
func verifyProvenance(ctx context.Context, cmd *cobra.Command, g *globals, c *client.Client, img wire.Image, d provenance.Document, f provenanceFlags) (*verdict, error) {
	v := &verdict{Signature: notChecked, Data: notChecked}
	var first error
	if f.key != "" {
		key, err := provenance.LoadPublic(f.key)
		if err != nil {
			return nil, err
		}
		first = d.Verify(key)
		v.Signature = checkedAs(first)
		if first == nil {
			v.KeyID = provenance.KeyID(key)
		}
	}
	var err error
	v.Comparisons, err = d.Compare(factsOf(img))
	v.Catalogue = checkedAs(err)
	if first == nil {
		first = err
	}
	if !f.data {
		return v, first
	}
	sum, err := readBack(ctx, cmd, g, c, img)
	if err != nil {
		return nil, err
	}
	v.BytesRead = *img.Size
	err = d.CompareBytes(img.HashAlgo, sum)
	v.Data = checkedAs(err)
	if first == nil {
		first = err
	}
	return v, first
}

func checkedAs(err error) string {
	if err != nil {
		return checkedFailed
	}
	return checkedOK
}

// readBack reads all of an image's bytes and returns their digest, hex.
func readBack(ctx context.Context, cmd *cobra.Command, g *globals, c *client.Client, img wire.Image) (string, error) {
	if img.Status != "active" || img.Size == nil {
		return "", errcode.New(errcode.Conflict, "image %s is %s and has no bytes to read", img.ID, img.Status)
	}
	sum, err := imageHasher(img.HashAlgo)
	if err != nil {
		return "", err
	}
	d := progress.New(cmd.ErrOrStderr(), g.quiet)
	defer d.Close()
	d.Stage("read back")
	if err := fetchImage(ctx, c, img, sum, 0, d); err != nil {
		return "", err
	}
	d.Done("")
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func factsOf(img wire.Image) provenance.Facts {
	f := provenance.Facts{ImageID: img.ID, Size: -1, VirtualSize: -1, HashAlgo: img.HashAlgo, HashValue: img.HashValue,
		MD5: img.Checksum, ContentDigest: img.ContentDigest}
	if img.Size != nil {
		f.Size = *img.Size
	}
	if img.VirtualSize != nil {
		f.VirtualSize = *img.VirtualSize
	}
	return f
}

// signers lists the key ids that an envelope names.
func signers(d provenance.Document) []string {
	ids := []string{}
	if d.Envelope != nil {
		for _, s := range d.Envelope.Signatures {
			ids = append(ids, s.KeyID)
		}
	}
	return ids
}
