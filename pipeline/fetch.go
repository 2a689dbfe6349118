package pipeline

import (
	"context"
	"slices"

	"ingest/internal/contract"
	"ingest/sources"
)

// Fetch pins the source and its members. A file that can be read at random, and
// whose digest nobody asks for, is read where it lies; any other one is staged
// first. A compression around the first file is taken off while it is staged; digests
// and signatures are those of the bytes before.
func (p *Pipeline) Fetch(ctx context.Context, f contract.FetchParams, o Observe) (contract.Fetched, error) {
	ctx, led := listening(ctx)
	out, err := p.fetch(ctx, f, o)
	out.Beside = led.urls
	return out, p.giveStaging(ctx, f.TaskID, err)
}

func (p *Pipeline) fetch(ctx context.Context, f contract.FetchParams, o Observe) (contract.Fetched, error) {
	if o == nil {
		o = ignore
	}
	ctx = asProject(ctx, f.Project)
	parts, err := p.parts(f)
	if err != nil {
		return contract.Fetched{}, err
	}
	defer func() {
		for _, pt := range parts {
			pt.close()
		}
	}()
	// All are found before the first is read: what is missing is told at once.
	for i, pt := range parts {
		if err := pt.in(pt.find(ctx, p)); err != nil {
			return contract.Fetched{}, err
		}
		o(0, -1, sign("found", int64(i+1)))
	}
	if err := p.expect(ctx, parts, f.Source); err != nil {
		return contract.Fetched{}, err
	}
	f.Source.Format = parts[0].about.Declared(f.Source.Format)
	if err := p.around(ctx, parts, f); err != nil {
		return contract.Fetched{}, err
	}
	if err := p.checkParts(ctx, parts); err != nil {
		return contract.Fetched{}, err
	}
	parts[0].staged.look = p.looking(ctx, parts[0].size, f)
	parts[0].staged.ahead = p.aheadOf(ctx, f, parts)
	t := tally{o: o, total: total(parts)}
	var out contract.Fetched
	var proofs []contract.Verification
	for i, pt := range parts {
		got, err := pt.take(ctx, p, sizeOf(parts, i), t.observe)
		if err != nil {
			return contract.Fetched{}, pt.in(err)
		}
		got.Notes = notesOf(pt)
		for _, v := range got.Verifications {
			v.File = pt.name
			proofs = append(proofs, v)
		}
		got.Verifications = nil
		pt.size = got.SourceBytes()
		if pt.moves() {
			t.base += pt.size
		}
		if i == 0 {
			out = got
			if !p.Anywhere {
				out.Queue = p.HostQueue
			}
		} else {
			got.About = got.About.OfMember()
			out.Members = append(out.Members, contract.FetchedMember{Name: pt.name, Fetched: got})
		}
	}
	out.Verifications = proofs
	return out, nil
}

// around finds what is to be taken off the first file, and expects what the catalogues say
// that the bytes come to. From bytes that are kept as they are nothing is taken off.
func (p *Pipeline) around(ctx context.Context, parts []*part, f contract.FetchParams) error {
	if f.AsIs {
		return parts[0].in(parts[0].asIs())
	}
	if layered(f.Source.Format, len(f.Source.Members)) {
		if err := parts[0].in(parts[0].peel(ctx)); err != nil {
			return err
		}
	}
	for _, pt := range parts {
		if err := pt.in(pt.alsoCatalogue()); err != nil {
			return err
		}
	}
	return nil
}

// spotsAlone warns of what several places are worth that nobody has a digest for.
const spotsAlone = "no digest and no signature was given: that all places have the same bytes was compared in spots alone"

// notesOf is what is to be told of a source although it can be used.
func notesOf(pt *part) []string {
	notes := sources.NotesOf(pt.src)
	if pt.src.Pin().Mirrors != "" && !pt.want.any() {
		notes = append(slices.Clip(notes), spotsAlone)
	}
	return notes
}

func fetchedOf(s contract.SourceSpec, project string, pin sources.Pin) contract.Fetched {
	return contract.Fetched{
		URL: s.URL, Credential: s.Credential, Project: project, Driver: pin.Driver, Size: pin.Size,
		Validator: pin.Validator, Strong: pin.Strong, Random: pin.Random, Local: pin.Local, Mirrors: pin.Mirrors,
	}
}

// originOf is where a source's bytes come from, nil if it knows no more than its URL.
func originOf(src sources.Source) *contract.Origin {
	t, ok := sources.TraceOf(src)
	if !ok {
		return nil
	}
	return &contract.Origin{URL: t.URL, Redirects: t.Redirects, Address: t.Address,
		ETag: t.ETag, LastModified: t.LastModified, Version: t.Version, Others: t.Others}
}

func pinOf(f contract.Fetched) *sources.Pin {
	return &sources.Pin{
		Driver: f.Driver, URL: f.URL, Size: f.Size, Validator: f.Validator,
		Strong: f.Strong, Random: f.Random, Local: f.Local, Mirrors: f.Mirrors,
	}
}
