package pipeline

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/verify"
	"ingest/sources"
)

// maxDated is how many files are asked for their dates where a list does not say them.
const maxDated = 100

// LookAt says which version a source has, without reading a byte of the image: from what
// its server says of it, from the checksum file beside it, and, if its URL is a pattern,
// from the list of its folder.
func (p *Pipeline) LookAt(ctx context.Context, l contract.LookParams) (contract.Looked, error) {
	ctx = asProject(ctx, l.Project)
	out := contract.Looked{URL: l.Source.URL}
	if (contract.ScheduleSpec{Import: contract.ImportRequest{Source: l.Source}}).Pattern() {
		var err error
		if out.URL, out.Matches, err = p.newest(ctx, l); err != nil {
			return out, err
		}
	}
	src := l.Source
	src.URL = out.URL
	if err := p.lookDigest(ctx, src, &out); err != nil {
		return out, err
	}
	seen, err := p.Sources.Look(ctx, sources.Ref{URL: src.URL, Credential: src.Credential, Project: l.Project})
	if err != nil {
		return out, sourceError(err, src.URL)
	}
	v := &out.Version
	v.URL, v.Size, v.ETag, v.LastModified, v.Version = publicURL(src.URL), seen.Size, seen.ETag, seen.LastModified, seen.Version
	if !v.Tells(l.Check) {
		return out, errcode.New(errcode.SourceUnversioned, "the source says nothing by which a new version could be told: no %s", lacking(l.Check)).
			With(errcode.Evidence{Structure: "source", Field: l.Check, Value: v.URL})
	}
	return out, nil
}

func lacking(check string) string {
	if check == contract.CheckAuto {
		return "digest, version, ETag or date"
	}
	return check
}

// lookDigest reads the digest that the checksum file gives the image, and judges the
// signature over that file, so that a bad one costs no download. What another cloud says
// of its image has no checksum file: its digests are read with the image.
func (p *Pipeline) lookDigest(ctx context.Context, s contract.SourceSpec, out *contract.Looked) error {
	scheme, err := sources.Scheme(s.URL)
	if err != nil {
		return err
	}
	if s.ChecksumFile == "" || scheme == "glance" && s.ChecksumFile == auto {
		return nil
	}
	var rings verify.Keyrings
	signed := s.Signature != "" || s.Keyring != ""
	if signed {
		if rings, err = p.Keyrings.Named(s.Keyring); err != nil {
			return err
		}
	}
	list, err := p.sumsList(ctx, s, signed, rings)
	if err != nil {
		return err
	}
	name, sums := fileName(s.URL), list.sums
	if base := fileName(list.url); name != "" && strings.HasPrefix(base, name+".") {
		sums = sums.Alone(name)
	}
	digests, err := sums.Lookup(p.AllowMD5, list.within(s.URL), name)
	if err != nil {
		return err
	}
	best := slices.MaxFunc(digests, func(a, b verify.Digest) int { return strings.Compare(a.Algo, b.Algo) })
	out.Version.Digest, out.Checksums = best.Algo+":"+best.Hex, publicURL(list.url)
	return nil
}

// newest finds the newest of the files that fit a pattern.
func (p *Pipeline) newest(ctx context.Context, l contract.LookParams) (url string, matches int, err error) {
	files, err := p.Sources.List(ctx, sources.Ref{URL: l.Source.URL, Credential: l.Source.Credential, Project: l.Project})
	if err != nil {
		return "", 0, sourceError(err, l.Source.URL)
	}
	if len(files) == 0 {
		return "", 0, errcode.New(errcode.SourceNotFound, "no file of the folder fits the pattern").
			With(errcode.Evidence{Structure: "source", Field: "pattern", Value: publicURL(l.Source.URL)})
	}
	// By their names first, which also orders those of one date.
	slices.SortFunc(files, func(a, b sources.Listed) int { return compareVersions(a.Name, b.Name) })
	if l.Order == contract.OrderLastModified {
		if err := p.dated(ctx, l, files); err != nil {
			return "", 0, err
		}
		slices.SortStableFunc(files, func(a, b sources.Listed) int { return a.Modified.Compare(b.Modified) })
	}
	return files[len(files)-1].URL, len(files), nil
}

// dated asks for the dates that a list does not say.
func (p *Pipeline) dated(ctx context.Context, l contract.LookParams, files []sources.Listed) error {
	asked := 0
	for i := range files {
		f := &files[i]
		if !f.Modified.IsZero() {
			continue
		}
		if asked++; asked > maxDated {
			return errcode.New(errcode.SourceTooLarge, "more than %d files fit the pattern, too many to ask for their dates: make it closer, or order by version", maxDated).
				With(errcode.Evidence{Structure: "folder", Field: "files", Value: strconv.Itoa(len(files)), Limit: strconv.Itoa(maxDated)})
		}
		seen, err := p.Sources.Look(ctx, sources.Ref{URL: f.URL, Credential: l.Source.Credential, Project: l.Project})
		if err != nil {
			return sourceError(err, f.URL)
		}
		if f.Modified, err = parseDate(seen.LastModified); err != nil {
			return errcode.New(errcode.SourceUnversioned, "a file that fits the pattern has no date: order by version").
				With(errcode.Evidence{Structure: "source", Field: "Last-Modified", Value: publicURL(f.URL)})
		}
	}
	return nil
}
