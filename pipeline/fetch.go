package pipeline

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/sources"
)

// Fetch pins the source. A source that can be read at random, and whose digest
// nobody asks for, is read where it lies; any other one is staged first.
func (p *Pipeline) Fetch(ctx context.Context, f contract.FetchParams, o Observe) (contract.Fetched, error) {
	out, err := p.fetch(ctx, f, o)
	return out, sourceError(err, f.Source.URL)
}

func (p *Pipeline) fetch(ctx context.Context, f contract.FetchParams, o Observe) (contract.Fetched, error) {
	want, err := parseChecksum(f.Source.Checksum)
	if err != nil {
		return contract.Fetched{}, err
	}
	if o == nil {
		o = ignore
	}
	staged := p.staging(f.TaskID)
	ref := sources.Ref{URL: f.Source.URL, Credential: f.Source.Credential}
	src, err := p.Sources.Open(ctx, ref, staged.pin())
	if errcode.Of(err) == errcode.SourceChanged {
		// Nothing of this import has been read by a later step yet: what was
		// staged of the old version is thrown away, never continued.
		if err := staged.remove(); err != nil {
			return contract.Fetched{}, err
		}
		src, err = p.Sources.Open(ctx, ref, nil)
	}
	if err != nil {
		return contract.Fetched{}, err
	}
	defer src.Close()
	if err := p.checkSource(src.Pin()); err != nil {
		return contract.Fetched{}, err
	}
	out := fetchedOf(f.Source, src.Pin())
	out.Queue = p.HostQueue
	direct := src.Pin().Random && (want == nil || src.Pin().Local)
	switch {
	case direct && want != nil:
		out.SourceDigest, err = p.digestSource(ctx, src, want, o)
	case !direct:
		out.Staged = true
		out.Size, out.SourceDigest, err = p.stage(ctx, staged, src, want, o)
	}
	if err != nil {
		return contract.Fetched{}, err
	}
	if want != nil && out.SourceDigest != want.String() {
		return contract.Fetched{}, errcode.New(errcode.ChecksumMismatch, "the source's %s is not the one that was given", want.algo).
			With(errcode.Evidence{Structure: "source", Field: want.algo, Value: out.SourceDigest, Limit: want.String()})
	}
	return out, nil
}

// checkSource refuses what no step could use.
func (p *Pipeline) checkSource(pin sources.Pin) error {
	if pin.Size == 0 {
		return errcode.New(errcode.Empty, "the source has no bytes").With(errcode.Evidence{Structure: "source", Field: "length", Value: "0"})
	}
	if p.MaxSourceBytes > 0 && pin.Size > p.MaxSourceBytes {
		return tooLarge(pin.Size, p.MaxSourceBytes)
	}
	return nil
}

func fetchedOf(s contract.SourceSpec, pin sources.Pin) contract.Fetched {
	return contract.Fetched{
		URL: s.URL, Credential: s.Credential, Driver: pin.Driver, Size: pin.Size,
		Validator: pin.Validator, Strong: pin.Strong, Random: pin.Random, Local: pin.Local,
	}
}

func pinOf(f contract.Fetched) *sources.Pin {
	return &sources.Pin{
		Driver: f.Driver, URL: f.URL, Size: f.Size, Validator: f.Validator,
		Strong: f.Strong, Random: f.Random, Local: f.Local,
	}
}

// A checksum is a digest that the caller expects.
type checksum struct {
	algo string
	hex  string
}

func (c *checksum) String() string { return c.algo + ":" + c.hex }

func (c *checksum) new() hash.Hash {
	if c != nil && c.algo == "sha512" {
		return sha512.New()
	}
	return sha256.New()
}

// text returns the text form of a finished hash.
func (c *checksum) text(h hash.Hash) string {
	algo := "sha256"
	if c != nil {
		algo = c.algo
	}
	return algo + ":" + hex.EncodeToString(h.Sum(nil))
}

// parseChecksum reads "sha256:HEX" or "sha512:HEX"; "" is no checksum.
func parseChecksum(s string) (*checksum, error) {
	if s == "" {
		return nil, nil
	}
	algo, digest, ok := strings.Cut(strings.ToLower(strings.TrimSpace(s)), ":")
	size := map[string]int{"sha256": sha256.Size, "sha512": sha512.Size}[algo]
	raw, err := hex.DecodeString(digest)
	if !ok || size == 0 || err != nil || len(raw) != size {
		return nil, errcode.New(errcode.ChecksumInvalid, "the checksum is not sha256:HEX or sha512:HEX").
			With(errcode.Evidence{Structure: "request", Field: "checksum", Value: s})
	}
	return &checksum{algo: algo, hex: digest}, nil
}
