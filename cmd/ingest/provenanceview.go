package main

import (
	"fmt"
	"io"
	"sort"
	"strings"

	"ingest/internal/cli"
	"ingest/internal/progress"
	"ingest/internal/provenance"
)

// printProvenance prints a record for people: source, chain, digests, and who
// verified what.
func printProvenance(out io.Writer, d provenance.Document, v *verdict) error {
	p := d.Statement.Predicate
	pairs := []string{"image", d.Statement.Subject[0].Name}
	if p.Image.Disks > 1 {
		pairs = append(pairs, "disk", fmt.Sprintf("%d of %d", p.Image.Disk, p.Image.Disks))
	}
	for _, dep := range p.BuildDefinition.ResolvedDependencies {
		pairs = append(pairs, sourceLines(dep)...)
	}
	pairs = append(pairs, "chain", chainLine(p.Chain),
		"stored", fmt.Sprintf("%s (%d bytes) of %s", progress.Bytes(p.Image.Size), p.Image.Size, progress.Bytes(p.Image.VirtualSize)),
		"stored digest", p.Image.HashAlgo+":"+p.Image.HashValue, "content digest", p.Image.ContentDigest, "read back", p.Verification.Level)
	for _, proof := range p.Verification.Proofs {
		pairs = append(pairs, "verified", proofLine(proof))
	}
	if p.Verification.Omitted > 0 {
		pairs = append(pairs, "verified", fmt.Sprintf("and %d more", p.Verification.Omitted))
	}
	for _, f := range []*provenance.Findings{p.Detection, p.Structure} {
		pairs = append(pairs, findingLines(f)...)
	}
	if n := len(p.Policy); n > 0 {
		pairs = append(pairs, "policy", fmt.Sprintf("asked at %d points", n))
	}
	m := p.RunDetails.Metadata
	pairs = append(pairs, "task", m.TaskID, "workflow", m.WorkflowID, "from", m.StartedOn, "to", m.FinishedOn, "made by", versions(p.RunDetails.Builder.Version))
	pairs = append(pairs, "signed by", signedBy(d))
	if v != nil {
		pairs = append(pairs, verdictLines(*v)...)
	}
	return cli.Fields(out, pairs...)
}

func sourceLines(d provenance.Dependency) []string {
	a := d.Annotations
	name := "source"
	if d.Name != "source" {
		name = "member " + cli.Clean(d.Name)
	}
	pairs := []string{name, d.URI}
	if a.Location != "" {
		pairs = append(pairs, "  behind redirects", a.Location)
	}
	pairs = append(pairs, "  address", a.Address, "  version", a.Version, "  validator", a.Validator,
		"  size", fmt.Sprintf("%s (%d bytes)", progress.Bytes(a.Size), a.Size))
	for _, algo := range sortedNames(d.Digest) {
		pairs = append(pairs, "  digest", algo+":"+d.Digest[algo])
	}
	return pairs
}

// chainLine is such as: gzip > ova (disk2.vmdk) > vmdk streamOptimized deflate > qcow2 zstd.
func chainLine(chain []provenance.Link) string {
	links := make([]string, 0, len(chain))
	for _, l := range chain {
		words := []string{l.Name}
		for _, w := range []string{l.Subformat, l.Compression} {
			if w != "" && w != "none" {
				words = append(words, w)
			}
		}
		if l.Member != "" {
			words = append(words, "("+l.Member+")")
		}
		links = append(links, strings.Join(words, " "))
	}
	return strings.Join(links, " > ")
}

func proofLine(p provenance.Proof) string {
	words := []string{strings.ReplaceAll(p.Kind, "_", " ")}
	if p.File != "" {
		words = append(words, "of", p.File)
	}
	if p.Digest != "" {
		words = append(words, p.Algo+":"+p.Digest)
	}
	if p.URL != "" {
		words = append(words, "in", p.URL)
	}
	if p.Fingerprint != "" {
		words = append(words, "by", p.Fingerprint, "of keyring", p.Keyring)
	}
	return strings.Join(words, " ")
}

func findingLines(f *provenance.Findings) []string {
	if f == nil {
		return nil
	}
	var pairs []string
	for _, one := range f.Findings {
		pairs = append(pairs, "finding", fmt.Sprintf("%s %s: %s", one.Severity, one.Code, one.Message))
	}
	if f.Omitted > 0 {
		pairs = append(pairs, "finding", fmt.Sprintf("and %d entries more", f.Omitted))
	}
	return pairs
}

func versions(v map[string]string) string {
	words := make([]string, 0, len(v))
	for _, name := range sortedNames(v) {
		if name == "ingest" || name == "go" {
			words = append(words, name+" "+v[name])
		}
	}
	return strings.Join(words, ", ")
}

func signedBy(d provenance.Document) string {
	ids := signers(d)
	if len(ids) == 0 {
		return "nobody"
	}
	return strings.Join(ids, " ") + " (as the record claims)"
}

func verdictLines(v verdict) []string {
	signature := v.Signature
	switch {
	case v.KeyID != "":
		signature += ", key " + v.KeyID
	case v.Signature == notChecked:
		signature += ": give the operator's public key with --key"
	}
	data := v.Data
	if v.Data == notChecked {
		data += ": --data reads the image's bytes back"
	} else {
		data += fmt.Sprintf(", %d bytes read", v.BytesRead)
	}
	pairs := []string{"check of signature", signature, "check of catalogue", v.Catalogue}
	for _, c := range v.Comparisons {
		if !c.Same {
			pairs = append(pairs, "  "+cli.Clean(c.Name), fmt.Sprintf("%q in the record, %q in the catalogue", c.Record, c.Catalogue))
		}
	}
	return append(pairs, "check of bytes", data)
}

func sortedNames(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
