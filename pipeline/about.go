package pipeline

import (
	"slices"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/verify"
	"ingest/sources"
)

// aboutOf is what the catalogue that a source stands in says of it, nil if it stands in
// none.
func aboutOf(src sources.Source) *contract.About {
	a, ok := sources.AboutOf(src)
	if !ok {
		return nil
	}
	return &contract.About{URL: a.URL, Name: a.Name, DiskFormat: a.DiskFormat, ContainerFormat: a.ContainerFormat, MinDisk: a.MinDisk, MinRAM: a.MinRAM,
		Hidden: a.Hidden, Tags: a.Tags, Properties: a.Properties, Digests: a.Digests}
}

// catalogued reports whether the digests of all files stand in the catalogues that
// they are from, which then is the checksum file that is found by itself.
func catalogued(parts []*part, s contract.SourceSpec) bool {
	return s.ChecksumFile == auto && !slices.ContainsFunc(parts, func(pt *part) bool { return pt.about == nil || len(pt.about.Digests) == 0 })
}

// expectCatalogue expects the best digest of a file's catalogue.
func (pt *part) expectCatalogue(md5 bool) error {
	var first error
	for _, text := range pt.about.Digests {
		d, err := verify.ParseDigest(text, md5)
		if err == nil {
			pt.want.digest(d, contract.Verification{Kind: contract.VerifiedChecksumFile, URL: pt.about.URL})
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// alsoCatalogue expects the digest of a file's catalogue where all bytes are seen in
// any case. One that could be forged is taken too: it finds what broke on the way.
func (pt *part) alsoCatalogue() error {
	if pt.about == nil || len(pt.about.Digests) == 0 || !pt.moves() {
		return nil
	}
	err := pt.expectCatalogue(true)
	if code := errcode.Of(err); code == errcode.ChecksumAlgorithm || code == errcode.ChecksumInvalid {
		return nil // it proves nothing, and nobody has asked for it
	}
	return err
}
