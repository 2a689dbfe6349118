package ovf

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"

	"ingest/formats"
	"ingest/internal/errcode"
	"ingest/unwrap/archive"
)

// A line of a manifest.
type line struct {
	member archive.Member
	hash   func() hash.Hash
	want   []byte
}

// hashOf returns an algorithm (DSP0243, "OVF Package Manifest"). SHA-1 is what OVF 1
// names; it tells damage, not forgery, and a manifest without a signature tells no
// more with any algorithm.
func hashOf(name string) func() hash.Hash {
	switch strings.ToUpper(name) {
	case "SHA1":
		return sha1.New
	case "SHA256":
		return sha256.New
	case "SHA512":
		return sha512.New
	}
	return nil
}

// manifestPlace is where in the manifest something is wrong.
func manifestPlace(m archive.Member, field string) formats.Place {
	w := place("manifest", field)
	w.Off = m.Off
	return w
}

// readManifest reads the manifest if there is one. It has to list every file but
// itself and the certificate.
func (p *Package) readManifest(lim Limits) error {
	var mf archive.Member
	byName := map[string]archive.Member{}
	for _, m := range p.members {
		byName[m.Name] = m
		if suffix(m.Name) == ".mf" {
			mf = m
		}
	}
	if mf.Name == "" {
		return nil
	}
	text, err := read(mf, lim.ManifestBytes)
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, s := range strings.Split(string(text), "\n") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		name, l, ok := parseLine(s)
		m, there := byName[name]
		if !ok || !there || listed[name] {
			return manifestPlace(mf, "line").Refuse(errcode.OVAManifest, archive.Clip(s), "SHA256(file)= digest of each file once", "the manifest has a line that cannot be right")
		}
		listed[name] = true
		if name != mf.Name { // some programs list the manifest itself
			l.member = m
			p.manifest = append(p.manifest, l)
		}
	}
	for _, m := range p.members {
		if !listed[m.Name] && suffix(m.Name) == "" {
			return manifestPlace(mf, "file").Refuse(errcode.OVAManifest, archive.Clip(m.Name), "every file", "the manifest does not list %q", archive.Clip(m.Name))
		}
	}
	return nil
}

// parseLine reads a line such as SHA256(name)= digest, with or without spaces.
func parseLine(s string) (string, line, bool) {
	algorithm, rest, ok := strings.Cut(s, "(")
	end := strings.LastIndex(rest, ")")
	if !ok || end < 0 {
		return "", line{}, false
	}
	l := line{hash: hashOf(strings.TrimSpace(algorithm))}
	digits, ok := strings.CutPrefix(strings.TrimSpace(rest[end+1:]), "=")
	want, err := hex.DecodeString(strings.TrimSpace(digits))
	if !ok || err != nil || l.hash == nil || len(want) != l.hash().Size() {
		return "", line{}, false
	}
	l.want = want
	return rest[:end], l, true
}

// Verify reads the files that the manifest lists and compares their digests. It
// reports how many there are; a package without a manifest has none.
func (p *Package) Verify(ctx context.Context) (int, error) {
	for _, l := range p.manifest {
		h := l.hash()
		name := archive.Clip(l.member.Name)
		n, err := io.Copy(h, &reader{ctx, l.member.Section()})
		where := manifestPlace(l.member, name)
		switch got := h.Sum(nil); {
		case err != nil:
			return 0, fmt.Errorf("read member %q of the OVA: %w", name, err)
		case n != l.member.Size:
			return 0, where.Refuse(errcode.Truncated, n, fmt.Sprint(l.member.Size), "member %q is cut short", name)
		case !bytes.Equal(got, l.want):
			return 0, where.Refuse(errcode.OVAManifest, hex.EncodeToString(got), hex.EncodeToString(l.want), "member %q does not have the digest that the manifest gives", name)
		}
	}
	return len(p.manifest), nil
}

// A reader ends with its context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

// Read reads unless the context has ended.
func (r *reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}
