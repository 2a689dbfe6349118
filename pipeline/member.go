package pipeline

import (
	"context"
	"errors"

	"ingest/formats"
	"ingest/formats/overlay"
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
	return fetchedOf(contract.SourceSpec{URL: url}, pin), p.checkSource(pin)
}

// openMembers opens the members' sources, which the caller closes; on an error
// it has closed them itself.
func (p *Pipeline) openMembers(ctx context.Context, members []Member) (opening []*opened, given []formats.Member, err error) {
	for _, m := range members {
		src, err := p.openMember(ctx, m)
		if err != nil {
			return nil, nil, errors.Join(overlay.In(m.Name, err), closeAll(opening))
		}
		opening = append(opening, src)
		// Not src itself, which would hide that the reader knows its holes.
		given = append(given, formats.Member{Name: m.Name, R: src.ReaderAt, Size: src.size})
	}
	return opening, given, nil
}

func (p *Pipeline) openMember(ctx context.Context, m Member) (*opened, error) {
	f, err := p.find(ctx, m.URL)
	if err != nil {
		return nil, err
	}
	return p.open(ctx, "", f)
}

func closeAll(sources []*opened) error {
	var errs []error
	for _, s := range sources {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
