package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"ingest/internal/errcode"
)

// gunzip is an Unpack for gzip alone; package unwrap tests with its own.
func gunzip(r io.Reader, head []byte) (io.Reader, bool, error) {
	if !bytes.HasPrefix(head, []byte("\x1f\x8b")) {
		return nil, false, nil
	}
	z, err := gzip.NewReader(r)
	return z, true, err
}

// tarOf is a tar file of the headers, whose Xattrs-free bodies are of the same index.
func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := f.Header
		h.Mode, h.Size = 0o644, int64(len(f.body))
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A file is a member of an archive.
type file struct {
	tar.Header
	body []byte
}

func named(name string, body []byte) file { return file{tar.Header{Name: name}, body} }
func text(name, body string) file         { return named(name, []byte(body)) }
func folder(name string) file {
	return file{tar.Header{Name: name, Typeflag: tar.TypeDir}, nil}
}

func link(name, to string) file {
	return file{tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}, nil}
}

// rootfs is a layer as honest ones are: with links that lead anywhere, a device, a
// whiteout.
func rootfs(t testing.TB, more ...file) []byte {
	return tarOf(t, append([]file{
		folder("./"), folder("etc/"), text("etc/hostname", "box\n"), link("etc/mtab", "/proc/mounts"), link("lib", "usr/lib/../lib"),
		{tar.Header{Name: "bin/sh2", Typeflag: tar.TypeLink, Linkname: "etc/hostname"}, nil},
		{tar.Header{Name: "dev/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, nil}, text("etc/.wh.passwd", ""),
	}, more...)...)
}

func digest(p []byte) string { sum := sha256.Sum256(p); return hex.EncodeToString(sum[:]) }

func packed(t testing.TB, p []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(p); err != nil {
		t.Fatal(err)
	}
	z.Close()
	return b.Bytes()
}

func encoded(v any) []byte { p, _ := json.Marshal(v); return p }

// saved is what `docker save` of version 24 and before makes: folders of version 1,
// the layer that two images share as a link.
func saved(t testing.TB, layer []byte) []file {
	id, twin := strings.Repeat("a", 64), strings.Repeat("b", 64)
	config := []byte(`{"architecture":"amd64"}`)
	return []file{
		folder(id + "/"), text(id+"/VERSION", "1.0"), text(id+"/json", `{"id":"`+id+`","parent":"`+twin+`"}`), named(id+"/layer.tar", layer),
		folder(twin + "/"), text(twin+"/VERSION", "1.0"), text(twin+"/json", `{"id":"`+twin+`"}`), link(twin+"/layer.tar", "../"+id+"/layer.tar"),
		named(digest(config)+".json", config),
		named("manifest.json", encoded([]map[string]any{{"Config": digest(config) + ".json", "RepoTags": []string{"box:1"}, "Layers": []string{twin + "/layer.tar", id + "/layer.tar"}}})),
		named("repositories", encoded(map[string]map[string]string{"box": {"1": id}})),
	}
}

// layout is an image layout of OCI.
func layout(layers ...[]byte) []file {
	blob := func(p []byte, kind string) (file, map[string]any) {
		return named("blobs/sha256/"+digest(p), p), map[string]any{"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + digest(p), "size": len(p)}
	}
	config, configRef := blob([]byte(`{"os":"linux"}`), "config.v1+json")
	out := []file{folder("blobs/"), folder("blobs/sha256/"), config}
	var refs []any
	for _, l := range layers {
		f, ref := blob(l, "layer.v1.tar+gzip")
		out, refs = append(out, f), append(refs, ref)
	}
	manifest, ref := blob(encoded(map[string]any{"schemaVersion": 2, "config": configRef, "layers": refs}), "manifest.v1+json")
	return append(out, manifest,
		named("index.json", encoded(map[string]any{"schemaVersion": 2, "manifests": []any{ref}})),
		text("oci-layout", `{"imageLayoutVersion":"1.0.0"}`))
}

// read opens and verifies.
func read(ctx context.Context, p []byte, lim Limits, output int64) (*Image, int, error) {
	img, err := Open(bytes.NewReader(p), int64(len(p)), lim, output, gunzip)
	if err != nil {
		return nil, 0, err
	}
	n, err := img.Verify(ctx)
	return img, n, err
}

func TestLayouts(t *testing.T) {
	layer := rootfs(t)
	v1 := saved(t, layer)
	both := append(layout(packed(t, layer)), named("manifest.json", encoded([]map[string]any{{"Config": "blobs/sha256/" + digest([]byte(`{"os":"linux"}`)), "Layers": []string{"blobs/sha256/" + digest(packed(t, layer))}}})))
	for _, c := range []struct {
		name, layout   string
		files          []file
		images, layers int
		read           int
	}{
		{"docker save", "docker", v1, 1, 1, 1},
		{"version 1", "docker-v1", append(v1[:8:8], v1[10]), 1, 1, 1},
		{"oci", "oci", layout(packed(t, layer), layer), 1, 2, 2},
		{"docker save 25", "docker", both, 1, 1, 1},
		{"in a folder", "oci", append([]file{folder("./")}, layout(layer)...), 1, 1, 1},
		{"an empty layer", "oci", layout(make([]byte, 1024)), 1, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			img, n, err := read(t.Context(), tarOf(t, c.files...), DefaultLimits(), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if img.Layout != c.layout || img.Images != c.images || img.Layers != c.layers || n != c.read {
				t.Errorf("%s of %d images with %d layers, %d read", img.Layout, img.Images, img.Layers, n)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	layer := rootfs(t)
	good := saved(t, layer)
	with := func(more ...file) []file { return append(good[:len(good):len(good)], more...) }
	manifest := func(text string) []file {
		return []file{named("l.tar", layer), {tar.Header{Name: "manifest.json"}, []byte(text)}}
	}
	index := func(change func(files []file)) []file { f := layout(layer); change(f); return f }
	inLayer := func(f file) []file { return layout(packed(t, rootfs(t, f))) }
	id := strings.Repeat("c", 64)
	for _, c := range []struct {
		name  string
		files []file
		want  errcode.Code
	}{
		{"absolute", with(text("/etc/passwd", "x")), errcode.OVAPath},
		{"upwards", with(text("a/../../x", "x")), errcode.OVAPath},
		{"backslash", with(text(`a\x`, "x")), errcode.OVAPath},
		{"drive", with(text("c:/x", "x")), errcode.OVAPath},
		{"twice", with(text("Manifest.JSON", "x")), errcode.OVADuplicate},
		{"below a file", with(text("manifest.json/x", "x")), errcode.OVAPath},
		{"link to the host", with(link("x", "/etc/passwd")), errcode.OVALink},
		{"link upwards", with(link("x", "../x")), errcode.OVALink},
		{"link to nothing", with(link("x", "nothing")), errcode.OVALink},
		{"link to a link", with(link("x", "y"), link("y", "manifest.json")), errcode.OVALink},
		{"link to a folder", with(link("x", strings.Repeat("a", 64))), errcode.OVALink},
		{"hard link", with(file{tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "manifest.json"}, nil}), errcode.OVALink},
		{"device", with(file{tar.Header{Name: "x", Typeflag: tar.TypeChar}, nil}), errcode.OVALink},
		{"pipe", with(file{tar.Header{Name: "x", Typeflag: tar.TypeFifo}, nil}), errcode.OVALink},
		{"no manifest", good[:8], errcode.DockerLayout},
		{"manifest is a folder", []file{folder("manifest.json/")}, errcode.DockerLayout},
		{"manifest is text", manifest("hello"), errcode.DockerLayout},
		{"manifest of nothing", manifest("[]"), errcode.DockerLayout},
		{"no configuration", manifest(`[{"Layers":["l.tar"]}]`), errcode.DockerLayout},
		{"configuration outside", manifest(`[{"Config":"../../etc/passwd","Layers":["l.tar"]}]`), errcode.DockerLayout},
		{"layer missing", manifest(`[{"Config":"l.tar","Layers":["m.tar"]}]`), errcode.DockerLayout},
		{"layer is text", []file{text("c.json", "{}"), text("manifest.json", `[{"Config":"c.json","Layers":["c.json"]}]`)}, errcode.DockerLayout},
		{"no image in repositories", []file{text("repositories", "{}")}, errcode.DockerLayout},
		{"identifier is a path", []file{text("repositories", `{"a":{"b":"../x"}}`)}, errcode.DockerLayout},
		{"own ancestor", []file{text(id+"/json", `{"parent":"`+id+`"}`), named(id+"/layer.tar", layer), text("repositories", `{"a":{"b":"`+id+`"}}`)}, errcode.DockerLayout},
		{"layout of another version", index(func(f []file) { f[len(f)-1].body = []byte(`{"imageLayoutVersion":"2"}`) }), errcode.DockerLayout},
		{"index of nothing", index(func(f []file) { f[len(f)-2].body = []byte(`{}`) }), errcode.DockerLayout},
		{"blob missing", index(func(f []file) { f[2].Name = "blobs/sha256/" + id }), errcode.DockerLayout},
		{"blob of another size", index(func(f []file) { f[2].body = append(f[2].body, ' ') }), errcode.DockerLayout},
		{"blob changed", index(func(f []file) { f[2].body = []byte(strings.ToUpper(string(f[2].body))) }), errcode.DockerLayout},
		{"blob is a link to another", index(func(f []file) {
			config, other := f[2], bytes.Repeat([]byte("y"), len(f[2].body))
			f[0] = named("blobs/sha256/"+digest(other), other)
			f[2] = link(config.Name, digest(other))
		}), errcode.DockerLayout},
		{"blob without a digest", append(layout(layer), text("blobs/sha256/x", "x")), errcode.DockerLayout},
		{"blob of an unknown digest", append(layout(layer), text("blobs/md5/"+id[:32], "x")), errcode.DockerLayout},
		{"layer: absolute", inLayer(text("/etc/passwd", "x")), errcode.DockerLayer},
		{"layer: upwards", inLayer(text("a/../../x", "x")), errcode.DockerLayer},
		{"layer: hard link upwards", inLayer(file{tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "../../etc/shadow"}, nil}), errcode.DockerLayer},
		{"layer that no manifest names", append(layout(layer), named("x.tar", tarOf(t, text("../x", "x")))), errcode.DockerLayer},
		{"layer: cut", layout(layer[:len(layer)-1500]), errcode.Truncated},
		{"layer: damaged", layout(append(bytes.Clone(layer[:512]), bytes.Repeat([]byte("x"), 1024)...)), errcode.DockerLayout},
		{"layer: something behind", layout(append(bytes.Clone(layer), "hello"...)), errcode.TrailingData},
		{"layers too large", layout(tarOf(t, named("a", make([]byte, 3<<19))), tarOf(t, named("b", make([]byte, 3<<19)))), errcode.DecompressedTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := read(t.Context(), tarOf(t, c.files...), DefaultLimits(), 2<<20)
			wantCode(t, err, c.want)
		})
	}
	behind := append(tarOf(t, good...), "x"...)
	_, _, err := read(t.Context(), behind, DefaultLimits(), 1<<20)
	wantCode(t, err, errcode.TrailingData)
}

// wantCode wants an error with a code and evidence.
func wantCode(t *testing.T, err error, want errcode.Code) {
	t.Helper()
	e, ok := errcode.As(err)
	if !ok || e.Code != want {
		t.Fatalf("got %v, want %s", err, want)
	}
	if e.Evidence == nil {
		t.Errorf("%v has no evidence", err)
	}
}

// TestLimits holds each limit at its value and one past it.
func TestLimits(t *testing.T) {
	layer := tarOf(t, text("a", "x"), text(strings.Repeat("p", 90), "y"), file{tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: strings.Repeat("q", 80)}, nil})
	p := tarOf(t, layout(layer)...)
	fits := Limits{Members: 7, NameBytes: len("blobs/sha256/") + 64, JSONBytes: 0, LayerMembers: 3, PathBytes: 90}
	for _, f := range layout(layer) {
		if strings.Contains(f.Name, ".") || strings.Contains(string(f.body), "config") {
			fits.JSONBytes = max(fits.JSONBytes, int64(len(f.body)))
		}
	}
	if _, _, err := read(t.Context(), p, fits, int64(len(layer))); err != nil {
		t.Fatalf("at the limits: %v", err)
	}
	for name, c := range map[string]struct {
		lower func(l *Limits)
		want  errcode.Code
	}{
		"members":       {func(l *Limits) { l.Members-- }, errcode.OVATooManyMembers},
		"name":          {func(l *Limits) { l.NameBytes-- }, errcode.OVAPath},
		"json":          {func(l *Limits) { l.JSONBytes-- }, errcode.DockerLayout},
		"layer members": {func(l *Limits) { l.LayerMembers-- }, errcode.OVATooManyMembers},
		"path":          {func(l *Limits) { l.PathBytes-- }, errcode.DockerLayer},
		"target":        {func(l *Limits) { l.PathBytes = 79 }, errcode.DockerLayer},
	} {
		lim := fits
		c.lower(&lim)
		if _, _, err := read(t.Context(), p, lim, 1<<20); errcode.Of(err) != c.want {
			t.Errorf("%s one past: %v, want %s", name, err, c.want)
		}
	}
	_, _, err := read(t.Context(), p, fits, int64(len(layer))-1)
	wantCode(t, err, errcode.DecompressedTooLarge)
}

// TestBombInALayer holds that a layer of zeros that a few kilobytes stand for ends at
// the limit, with no more than that read of it.
func TestBombInALayer(t *testing.T) {
	const output = 4 << 20
	p := tarOf(t, layout(packed(t, tarOf(t, named("zeros", make([]byte, 64<<20)))))...)
	var out int64
	img, err := Open(bytes.NewReader(p), int64(len(p)), DefaultLimits(), output, func(r io.Reader, head []byte) (io.Reader, bool, error) {
		z, ok, err := gunzip(r, head)
		if ok {
			z = io.TeeReader(z, counter{&out})
		}
		return z, ok, err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = img.Verify(t.Context())
	wantCode(t, err, errcode.DecompressedTooLarge)
	if most := int64(output + 128<<10); out > most {
		t.Errorf("%d bytes came out, at most %d", out, most)
	}
}

type counter struct{ n *int64 }

func (c counter) Write(p []byte) (int, error) { *c.n += int64(len(p)); return len(p), nil }

// reads counts the bytes that are read at random.
type reads struct {
	io.ReaderAt
	n int64
}

func (r *reads) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	r.n += int64(n)
	return n, err
}

// What many tags name is read once.
func TestManyTagsOfOneImage(t *testing.T) {
	const tags, fat = 2000, 64 << 10
	pad := `,"pad":"` + strings.Repeat("x", fat) + `"}`
	var v1 []file
	repos, parent := map[string]string{}, ""
	for i := range 20 {
		id := digest([]byte{byte(i)})
		v1 = append(v1, text(id+"/json", `{"parent":"`+parent+`"`+pad), named(id+"/layer.tar", rootfs(t)))
		parent = id
	}
	for i := range tags {
		repos[fmt.Sprint(i)] = parent
	}
	v1 = append(v1, named("repositories", encoded(map[string]any{"box": repos})))

	manifest := []byte(`{"config":{"digest":"sha256:` + digest([]byte("c")) + `","size":1}` + pad)
	var refs []any
	for i := range tags {
		refs = append(refs, map[string]any{"mediaType": fmt.Sprint("v", i, ".image.manifest.v1+json"), "digest": "sha256:" + digest(manifest), "size": len(manifest)})
	}
	oci := []file{text("blobs/sha256/"+digest([]byte("c")), "c"), named("blobs/sha256/"+digest(manifest), manifest),
		named("index.json", encoded(map[string]any{"manifests": refs})), text("oci-layout", `{"imageLayoutVersion":"1.0.0"}`)}

	for name, files := range map[string][]file{"version 1": v1, "oci": oci} {
		p := tarOf(t, files...)
		r := &reads{ReaderAt: bytes.NewReader(p)}
		img, err := Open(r, int64(len(p)), DefaultLimits(), 1<<20, gunzip)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if img.Images != tags {
			t.Errorf("%s: %d images", name, img.Images)
		}
		if r.n > 2*int64(len(p)) {
			t.Errorf("%s: %d bytes were read of an archive of %d", name, r.n, len(p))
		}
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped")
	cancel(stop)
	if _, _, err := read(ctx, tarOf(t, saved(t, rootfs(t))...), DefaultLimits(), 1<<20); !errors.Is(err, stop) {
		t.Error(err)
	}
}

func TestNamed(t *testing.T) {
	id := strings.Repeat("0f", 32)
	for name, want := range map[string]bool{
		"manifest.json": true, "repositories": true, "index.json": true, "oci-layout": true, "blobs": true, "blobs/": true, "blobs/sha256/" + id: true,
		id + "/": true, id + "/VERSION": true, id + ".json": true, id + ".tar": true,
		"": false, id: false, id + ".raw": false, "disk.raw": false, "machine.ovf": false, strings.ToUpper(id) + ".tar": false, "manifest.json.raw": false, id + "0.tar": false,
	} {
		if Named(name) != want {
			t.Errorf("Named(%q) is not %v", name, want)
		}
	}
}
