package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
	"ingest/unwrap/archive"
)

// blockBytes is tar's unit.
const blockBytes = 512

// Verify reads everything once: it compares blobs with the digests that name them,
// and holds the members of the layers against the limits. It returns how many layers
// it read. Every file that is a tar file is taken for a layer, whether the manifest
// names it or not.
func (img *Image) Verify(ctx context.Context) (int, error) {
	v := &verifier{Image: img, ctx: ctx}
	for i := range img.entries {
		if e := &img.entries[i]; !e.Folder && e.Link == "" {
			if err := v.file(e); err != nil {
				return v.layersRead, err
			}
		}
	}
	return v.layersRead, nil
}

// A verifier counts over all layers.
type verifier struct {
	*Image
	ctx        context.Context
	layersRead int
	members    int
	out        int64 // bytes that came out of layers
}

// file reads one file of the archive.
func (v *verifier) file(e *archive.Entry) error {
	h, want, err := v.digest(e.Name)
	if err != nil {
		return err
	}
	src := io.Reader(&bounded{ctx: v.ctx, r: e.Section(), room: e.Size})
	if h != nil {
		src = io.TeeReader(src, h)
	}
	if err := v.content(e, src); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, src); err != nil {
		return formats.Place{Format: "docker", Structure: archive.Clip(e.Name), Off: e.Off}.Unread(err)
	}
	if h != nil && hex.EncodeToString(h.Sum(nil)) != want {
		return v.layout(e.Name, "digest", hex.EncodeToString(h.Sum(nil)), want, "the blob has another digest than its name says")
	}
	return nil
}

// digest returns the hash that a blob's name is of, nil for what is no blob.
func (v *verifier) digest(name string) (hash.Hash, string, error) {
	rest, ok := strings.CutPrefix(name, "blobs/")
	if !ok {
		return nil, "", nil
	}
	algo, want, _ := strings.Cut(rest, "/")
	var h hash.Hash
	switch algo {
	case "sha256":
		h = sha256.New()
	case "sha512":
		h = sha512.New()
	}
	if h == nil || len(want) != 2*h.Size() || !isHex(want) {
		return nil, "", v.layout("blobs", "name", name, "blobs/sha256/HEX, blobs/sha512/HEX", "a blob has no name of its digest")
	}
	return h, want, nil
}

// content looks into a file that is a layer.
func (v *verifier) content(e *archive.Entry, src io.Reader) error {
	head, src, err := peek(src)
	if err != nil {
		return err
	}
	inner, packed, err := v.unpack(src, head)
	if err != nil {
		return v.in(e, err)
	}
	if packed {
		if head, src, err = peek(inner); err != nil {
			return v.in(e, err)
		}
	}
	if !isTar(head) {
		if v.layers[e.Name] {
			return v.layout(archive.Clip(e.Name), "", nil, "a tar file", "the layer is no tar file")
		}
		return nil
	}
	v.layersRead++
	return v.in(e, v.layer(src))
}

// peek returns the first bytes of a reader, which stay to be read.
func peek(r io.Reader) ([]byte, io.Reader, error) {
	head := make([]byte, blockBytes)
	n, err := io.ReadFull(r, head)
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		err = nil
	}
	return head[:n], io.MultiReader(bytes.NewReader(head[:n]), r), err
}

// isTar reports whether a file begins as a tar file, which may be an empty one.
func isTar(head []byte) bool {
	return len(head) == blockBytes && (string(head[257:262]) == "ustar" || binio.IsZero(head) || archive.First(bytes.NewReader(head), blockBytes) != "")
}

// in says of which layer an error is.
func (v *verifier) in(e *archive.Entry, err error) error {
	if err == nil {
		return nil
	}
	if c, ok := errcode.As(err); ok {
		out := errcode.Wrap(err, c.Code, "layer %q: %s", archive.Clip(e.Name), c.Message)
		if c.Evidence != nil {
			out = out.With(*c.Evidence)
		}
		return out
	}
	if v.ctx.Err() != nil {
		return context.Cause(v.ctx)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return v.place("layer "+archive.Clip(e.Name)).Refuse(errcode.Truncated, nil, "", "layer %q ends before its last byte", archive.Clip(e.Name))
	}
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrFieldTooLong) {
		return v.layout("layer "+archive.Clip(e.Name), "header", nil, "a tar file", "the layer is no sound tar file")
	}
	return fmt.Errorf("read layer %s: %w", archive.Clip(e.Name), err)
}

func (v *verifier) place(structure string) formats.Place {
	return formats.Place{Format: "docker", Structure: structure, Off: -1}
}

// layer reads a layer's tar file to its end.
func (v *verifier) layer(r io.Reader) error {
	in := &bounded{ctx: v.ctx, r: r, room: v.output - v.out, over: v.place("layers")}
	defer func() { v.out += in.n }()
	for t := tar.NewReader(in); ; {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := v.member(h); err != nil {
			return err
		}
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := in.Read(buf)
		if !binio.IsZero(buf[:n]) {
			return v.place("layer").Refuse(errcode.TrailingData, nil, "zeros", "there is something behind the end of the tar file")
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// member checks a member of a layer.
func (v *verifier) member(h *tar.Header) error {
	if v.members++; v.members > v.lim.LayerMembers {
		return v.place("layers").Refuse(errcode.OVATooManyMembers, v.members, fmt.Sprint(v.lim.LayerMembers), "the layers have more than %d members", v.lim.LayerMembers)
	}
	where := v.place("member " + archive.Clip(h.Name))
	if what := v.pathFault(h.Name); what != "" {
		where.Field = "name"
		return where.Refuse(errcode.DockerLayer, archive.Clip(h.Name), "a path below the root", "member %q: the name %s", archive.Clip(h.Name), what)
	}
	if h.Typeflag == tar.TypeGNUSparse || h.PAXRecords["GNU.sparse.major"] != "" || h.PAXRecords["GNU.sparse.map"] != "" || h.PAXRecords["GNU.sparse.size"] != "" {
		return where.Refuse(errcode.DockerLayer, archive.Clip(h.Name), "regular files", "member %q is a sparse file", archive.Clip(h.Name))
	}
	target := ""
	switch {
	case len(h.Linkname) > v.lim.PathBytes:
		target = "is too long"
	case h.Typeflag == tar.TypeLink:
		target = v.pathFault(strings.TrimPrefix(h.Linkname, "/")) // another member, from the layer's root on
	}
	if target != "" {
		where.Field = "linkname"
		return where.Refuse(errcode.DockerLayer, archive.Clip(h.Linkname), "a path below the root", "member %q: the target of its link %s", archive.Clip(h.Name), target)
	}
	return nil
}

// pathFault says what is wrong with a path in a layer, "" if nothing is.
func (v *verifier) pathFault(name string) string {
	switch {
	case len(name) > v.lim.PathBytes:
		return "is too long"
	case strings.HasPrefix(name, "/"):
		return "is absolute"
	case strings.Contains(name, "\x00"):
		return "has a zero byte"
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "leads upwards"
		}
	}
	return ""
}

// A bounded reader ends with the context, and refuses what is more than there is
// room for. It counts what it gives.
type bounded struct {
	ctx  context.Context
	r    io.Reader
	n    int64
	room int64
	over formats.Place
}

// Read reads.
func (b *bounded) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	n, err := b.r.Read(p)
	if b.n += int64(n); b.n > b.room {
		return 0, b.over.Refuse(errcode.DecompressedTooLarge, b.n, fmt.Sprint(b.room), "the layers hold more than is allowed")
	}
	return n, err
}
