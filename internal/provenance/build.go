package provenance

import (
	"strings"
	"time"

	"ingest/internal/contract"
	"ingest/internal/logging"
)

// build lays out the statement. Its texts are cut by canonical.
func (r Recorder) build(in Import, b budget) Statement {
	d, found := in.Done, reportsOf(in)
	img := Image{
		ID: d.ImageID, Disk: max(d.Disk, 1), Disks: in.Detected.Count(),
		Size: d.Converted.Size, VirtualSize: d.Converted.VirtualSize, SourceVirtualSize: d.Converted.SourceSize,
		ContentDigest: d.Converted.ContentDigest, HashAlgo: d.Checksummed.HashAlgo, HashValue: d.Checksummed.HashValue, MD5: d.Checksummed.Checksum,
	}
	p := Predicate{
		BuildDefinition: BuildDefinition{
			BuildType: BuildType,
			ExternalParameters: External{
				Source: askedOf(in.Request.Source), Target: targetOf(in.Request.Target), Verify: in.Request.Verify,
			},
			InternalParameters:   Internal{Target: targetOf(d.Target), Verify: d.Checksummed.Verify, Codec: d.Converted.Codec},
			ResolvedDependencies: r.dependencies(in, b),
		},
		RunDetails: RunDetails{
			Builder: Builder{ID: BuilderID, Version: r.Versions},
			Metadata: Metadata{
				InvocationID: in.WorkflowID + "/" + in.RunID, StartedOn: stamp(in.Started), FinishedOn: stamp(in.Finished),
				TaskID: in.Request.TaskID, WorkflowID: in.WorkflowID, RunID: in.RunID, Project: in.Request.Owner,
			},
		},
		Image:        img,
		Chain:        chain(in, found.detection),
		Verification: verification(in, b),
		Detection:    found.detected(b),
		Structure:    found.structure(b),
		Guest:        bounded(found.guest, b),
	}
	for _, report := range found.policy {
		p.Policy = append(p.Policy, bounded(report, b))
	}
	digest := map[string]string{img.HashAlgo: img.HashValue}
	if img.MD5 != "" {
		digest["md5"] = img.MD5
	}
	return Statement{Type: StatementType, Subject: []Subject{{Name: img.ID, Digest: digest}}, PredicateType: PredicateType, Predicate: p}
}

// stamp writes a time as RFC 3339 in UTC.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func askedOf(s contract.SourceSpec) AskedSource {
	out := AskedSource{URL: public(s.URL), Format: s.Format, Checksum: s.Checksum,
		ChecksumFile: public(s.ChecksumFile), Signature: public(s.Signature), Keyring: s.Keyring}
	for _, m := range s.Mirrors {
		out.Mirrors = append(out.Mirrors, public(m))
	}
	for _, m := range s.Members {
		out.Members = append(out.Members, AskedMember{URL: public(m.URL), Name: m.FileName(), Checksum: m.Checksum})
	}
	return out
}

func targetOf(t contract.TargetSpec) Target {
	t = t.Named()
	return Target{Format: t.Format, Compression: t.Compression, Options: t.Options, Store: t.Store,
		DiskFormat: t.DiskFormat, ContainerFormat: t.ContainerFormat}
}

// dependencies lists the files that the image was made of, the first one first.
func (r Recorder) dependencies(in Import, b budget) []Dependency {
	first := in.Fetched
	if first.URL == "" {
		first.URL = in.Request.Source.URL // of a workflow that did not carry it
	}
	out := []Dependency{r.dependency("source", first, b)}
	for _, m := range in.Fetched.Members {
		out = append(out, r.dependency(m.Name, m.Fetched, b))
	}
	return out
}

func (r Recorder) dependency(name string, f contract.Fetched, b budget) Dependency {
	out := Dependency{Name: name, URI: public(f.URL), Annotations: Pinned{
		Driver: f.Driver, Size: f.SourceBytes(), Layer: f.Layer, Validator: f.Validator, Strong: f.Strong, Staged: f.Staged,
	}}
	if f.Layer != "" {
		out.Annotations.Unpacked = f.Size
	}
	if algo, hex, ok := strings.Cut(f.SourceDigest, ":"); ok {
		out.Digest = map[string]string{algo: hex}
	}
	if o := f.Origin; o != nil {
		a := &out.Annotations
		a.ETag, a.LastModified, a.Version = o.ETag, o.LastModified, o.Version
		if !r.NoAddress {
			a.Address = o.Address
		}
		if len(o.Redirects) > 0 || f.Mirrors != "" { // a mirror's, if the first place could not be used
			a.Location = public(o.URL)
		}
		for _, to := range o.Redirects[:min(len(o.Redirects), b.list)] {
			a.Redirects = append(a.Redirects, public(to))
		}
		a.RedirectsOmitted = len(o.Redirects) - len(a.Redirects)
		for _, at := range o.Others[:min(len(o.Others), b.list)] {
			a.Mirrors = append(a.Mirrors, public(at))
		}
		a.MirrorsOmitted = len(o.Others) - len(a.Mirrors)
	}
	return out
}

// chain lists what the bytes went through.
func chain(in Import, found *detection) []Link {
	var out []Link
	if in.Fetched.Layer != "" {
		out = append(out, Link{Kind: "layer", Name: in.Fetched.Layer})
	}
	disk := in.Detected.Disk(in.Done.Disk)
	if in.Detected.Container != "" {
		out = append(out, Link{Kind: "container", Name: in.Detected.Container, Member: disk.Name})
	}
	source := Link{Kind: "disk", Name: disk.Format, Subformat: disk.Subformat}
	if found != nil {
		of := found.disk(in.Done.Disk)
		source.Compression, source.Creator = of.Compression, of.Creator
	}
	t := in.Done.Target
	return append(out, source, Link{Kind: "stored", Name: t.StoredAs(), Compression: compression(t)})
}

// compression is that of the target's blocks, which may be given as an option.
func compression(t contract.TargetSpec) string {
	if t.Compression != "" {
		return t.Compression
	}
	return t.Options["compression"]
}

func verification(in Import, b budget) Verification {
	all := in.Fetched.Verifications
	out := Verification{Level: in.Done.Checksummed.Verify, Proofs: []Proof{}}
	for _, v := range all[:min(len(all), b.list)] {
		out.Proofs = append(out.Proofs, Proof{
			Kind: v.Kind, File: v.File, Algo: v.Algo, Digest: v.Digest, URL: public(v.URL), SignatureURL: public(v.SignatureURL),
			Keyring: v.Keyring, Fingerprint: v.Fingerprint, SigningKey: v.SigningKey, UserID: v.UserID,
			SignedAt: stamp(v.SignedAt), VerifiedAt: stamp(v.VerifiedAt),
		})
	}
	out.Omitted = len(all) - len(out.Proofs)
	return out
}

// public is a source without what may be secret in it. A path is none: whatever stands
// in it is a name on the server.
func public(source string) string {
	if strings.HasPrefix(source, "/") {
		return source
	}
	return logging.URL(source)
}
