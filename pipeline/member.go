package pipeline

import (
	"context"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/sources"
)

// A Member is another file of an image that is opened where it lies: an extent
// file of a VMDK, the parent of a differencing disk.
type Member struct {
	Name string // base name, by which the image knows it
	URL  string // URL or path of its source
}

// find opens a source for a look, and returns how to open that version of it at
// random.
func (p *Pipeline) find(ctx context.Context, url string) (contract.Fetched, error) {
	src, err := p.Sources.Open(ctx, sources.Ref{URL: url}, nil)
	if err != nil {
		return contract.Fetched{}, sourceError(err, url)
	}
	pin := src.Pin()
	if err := src.Close(); err != nil {
		return contract.Fetched{}, err
	}
	if !pin.Random {
		return contract.Fetched{}, errcode.New(errcode.BadRequest, "this server sends no ranges, so the image cannot be read where it is; download it first, or import it").
			With(errcode.Evidence{Structure: "source", Field: "ranges", Value: "none"})
	}
	out := fetchedOf(contract.SourceSpec{URL: url}, "", pin)
	out.About = aboutOf(src)
	return out, checkSize(pin.Size)
}

// findAll finds an image's files.
func (p *Pipeline) findAll(ctx context.Context, url string, members []Member) (contract.Fetched, error) {
	out, err := p.find(ctx, url)
	if err != nil {
		return out, err
	}
	for _, m := range members {
		f, err := p.find(ctx, m.URL)
		if err != nil {
			return contract.Fetched{}, named(m.Name, err)
		}
		out.Members = append(out.Members, contract.FetchedMember{Name: m.Name, Fetched: f})
	}
	return out, nil
}
