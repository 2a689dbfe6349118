package ova

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
	"maps"
	"slices"
	"strings"

	"ingest/internal/errcode"
)

// A digest is what a manifest says of a member.
type digest struct {
	algorithm string
	want      []byte
}

// newHash returns an algorithm's hash, nil for an unknown one. SHA-1 is what OVF 1
// names; it tells damage, not forgery.
func newHash(algorithm string) hash.Hash {
	switch algorithm {
	case "SHA1":
		return sha1.New()
	case "SHA256":
		return sha256.New()
	case "SHA512":
		return sha512.New()
	}
	return nil
}

// readManifest reads the manifest if there is one.
func (p *Package) readManifest(name string) error {
	if _, ok := p.members[name]; !ok {
		return nil
	}
	text, err := p.read(name, maxManifest)
	if err != nil {
		return err
	}
	p.manifest = map[string]digest{}
	for _, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		member, d, ok := manifestLine(line)
		_, twice := p.manifest[member]
		if _, there := p.members[member]; !ok || !there || twice {
			return place("manifest", "line", p.members[name].off).Refuse(errcode.ChecksumInvalid, clip(line), "SHA256(file)= digest of each file once",
				"the manifest has a line that cannot be right")
		}
		p.manifest[member] = d
	}
	return nil
}

// manifestLine reads a line such as SHA256(name)= digest, with or without spaces
// around the parentheses.
func manifestLine(line string) (string, digest, bool) {
	algorithm, rest, ok := strings.Cut(line, "(")
	end := strings.LastIndex(rest, ")")
	if !ok || end < 0 {
		return "", digest{}, false
	}
	text, ok := strings.CutPrefix(strings.TrimSpace(rest[end+1:]), "=")
	d := digest{algorithm: strings.TrimSpace(algorithm)}
	h := newHash(d.algorithm)
	want, err := hex.DecodeString(strings.TrimSpace(text))
	if !ok || err != nil || h == nil || len(want) != h.Size() {
		return "", digest{}, false
	}
	d.want = want
	return rest[:end], d, true
}

// Verify reads every member that the manifest names and compares the digests. It
// reports how many there are; an OVA without a manifest has none.
func (p *Package) Verify(ctx context.Context) (int, error) {
	for _, name := range slices.Sorted(maps.Keys(p.manifest)) {
		d, m := p.manifest[name], p.members[name]
		h := newHash(d.algorithm)
		n, err := io.Copy(h, &reader{ctx, io.NewSectionReader(p.r, m.off, m.size)})
		if err != nil {
			return 0, fmt.Errorf("read member %q of the OVA: %w", name, err)
		}
		where := place("manifest", clip(name), m.off)
		if n != m.size {
			return 0, where.Refuse(errcode.Truncated, n, fmt.Sprint(m.size), "member %q is cut short", clip(name))
		}
		if got := h.Sum(nil); !bytes.Equal(got, d.want) {
			return 0, where.Refuse(errcode.ChecksumMismatch, hex.EncodeToString(got), hex.EncodeToString(d.want),
				"member %q does not have the digest that the manifest gives", clip(name))
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
