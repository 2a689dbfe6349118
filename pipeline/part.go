package pipeline

import (
	"context"
	"math"
	"time"

	"ingest/internal/binio"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/verify"
	"ingest/sources"
	"ingest/unwrap"
)

// A part is one file of an image that is being fetched.
type part struct {
	name    string // of a member, "" for the first file
	spec    contract.SourceSpec
	project string // who may use the credential
	whole   bool   // all that its catalogue says of it is wanted
	want    expectation
	staged  staging
	src     sources.Source // from find on
	layer   unwrap.Layer   // around the file, "" for none; from peel on
	size    int64          // bytes, -1 if not known yet
	// about is what the catalogue that the file is from says of it, nil for none; from
	// find on.
	about *contract.About
}

// parts lists the files that are asked for, the first one first.
func (p *Pipeline) parts(f contract.FetchParams) ([]*part, error) {
	staged := p.staging(f.TaskID)
	staged.claim = p.claim(Claim{TaskID: f.TaskID, Kind: ClaimStage, Part: staged.name})
	parts := []*part{{spec: f.Source, project: f.Project, whole: f.AsIs, staged: staged}}
	for i, m := range f.Source.Members {
		parts = append(parts, &part{
			name:    m.FileName(),
			spec:    contract.SourceSpec{URL: m.URL, Checksum: m.Checksum, Credential: m.Credential},
			project: f.Project,
			staged:  staged.member(i),
		})
	}
	for _, pt := range parts {
		if pt.spec.Checksum == "" {
			continue
		}
		d, err := verify.ParseDigest(pt.spec.Checksum, p.AllowMD5)
		if err != nil {
			return nil, pt.in(err)
		}
		pt.want.digest(d, contract.Verification{Kind: contract.VerifiedDigest})
	}
	return parts, nil
}

// in names the file in an error.
func (pt *part) in(err error) error {
	return named(pt.name, sourceError(err, pt.spec.URL))
}

func (pt *part) close() {
	if pt.src != nil {
		pt.src.Close()
	}
}

// find opens the file's source, in the version that was being staged.
func (pt *part) find(ctx context.Context, p *Pipeline) error {
	ref := sources.Ref{URL: pt.spec.URL, Credential: pt.spec.Credential, Project: pt.project, Mirrors: pt.spec.Mirrors, Whole: pt.whole}
	src, err := p.Sources.Open(ctx, ref, pt.staged.pin())
	if errcode.Of(err) == errcode.SourceChanged {
		// Nothing of this import has been read by a later step yet: what was
		// staged of the old version is thrown away, never continued.
		if err := pt.staged.discard(); err != nil {
			return err
		}
		src, err = p.Sources.Open(ctx, ref, nil)
	}
	if err != nil {
		return err
	}
	pt.src, pt.size, pt.about = src, src.Pin().Size, aboutOf(src)
	return checkSize(pt.size)
}

// checkSize refuses a file without bytes.
func checkSize(size int64) error {
	if size != 0 {
		return nil
	}
	return errcode.New(errcode.Empty, "the source has no bytes").
		With(errcode.Evidence{Structure: "source", Field: "length", Value: "0"})
}

// direct reports whether the file is read where it lies.
func (pt *part) direct() bool {
	return pt.layer == "" && pt.src.Pin().Random && (!pt.want.any() || pt.src.Pin().Local)
}

// moves reports whether all bytes of the file are read by the fetch.
func (pt *part) moves() bool { return !pt.direct() || pt.want.any() }

// take stages the file, or takes its digest, if that is needed. others is the
// bytes of the image's other files, as far as they are known.
func (pt *part) take(ctx context.Context, p *Pipeline, others int64, o Observe) (contract.Fetched, error) {
	out := fetchedOf(pt.spec, pt.project, pt.src.Pin())
	out.Origin, out.About = originOf(pt.src), pt.about
	d, err := pt.want.digester()
	if err != nil {
		return contract.Fetched{}, err
	}
	switch {
	case pt.layer != "":
		err = p.unpack(ctx, pt, d, &out, o)
		return out, err
	case !pt.direct():
		out.Staged = true
		out.Size, d, err = p.stage(ctx, pt.staged, pt.src, d, others, o)
	case pt.want.any():
		err = p.digestSource(ctx, pt.src, d, o)
	default:
		return out, nil
	}
	if err != nil {
		return contract.Fetched{}, err
	}
	out.SourceDigest = d.text()
	if out.Verifications, err = pt.want.check(d, time.Now()); err != nil {
		// The next best moment is the cleanup, which knows of it.
		_ = p.dropAhead(ctx, pt.staged)
	}
	return out, err
}

// checkParts refuses files that are too large together, and those that staging
// has no room for, before the first byte of any.
func (p *Pipeline) checkParts(ctx context.Context, parts []*part) error {
	if n := sizeOf(parts, -1); p.MaxSourceBytes > 0 && n > p.MaxSourceBytes {
		return tooLarge(n, p.MaxSourceBytes)
	}
	need := int64(0)
	for _, pt := range parts {
		if !pt.direct() && pt.size > 0 {
			need = addSizes(need, pt.size-pt.staged.have(pt.src.Pin()))
		}
	}
	if err := p.checkSpace(need); err != nil {
		return err
	}
	for _, pt := range parts {
		// What comes out of a layer tells its size at its end, and is more.
		if pt.direct() || pt.size <= 0 {
			continue
		}
		err := error(nil)
		if pt.layer == "" {
			err = pt.staged.claim.set(ctx, pt.size, pt.size)
		} else {
			err = pt.staged.claim.reach(ctx, pt.size)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sizeOf is the bytes of all parts but one, as far as they are known.
func sizeOf(parts []*part, but int) int64 {
	n := int64(0)
	for i, pt := range parts {
		if i != but && pt.size > 0 {
			n = addSizes(n, pt.size)
		}
	}
	return n
}

// addSizes adds what servers claim, without running over.
func addSizes(a, b int64) int64 {
	sum, err := binio.Add(a, b)
	if err != nil {
		return math.MaxInt64
	}
	return sum
}

// total is how many bytes the fetch reads, -1 if that is not known.
func total(parts []*part) int64 {
	n := int64(0)
	for _, pt := range parts {
		if !pt.moves() {
			continue
		}
		if pt.size < 0 {
			return -1
		}
		n = addSizes(n, pt.size)
	}
	return n
}

// A tally makes one progress of that of several files.
type tally struct {
	o           Observe
	base, total int64 // bytes of the files before, and of all
}

func (t *tally) observe(done, _ int64, hint []byte) { t.o(t.base+done, t.total, hint) }
