package pipeline_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/pipeline"
	"ingest/unwrap"
)

// refusedAs runs an import and wants it refused, with a remedy.
func refusedAs(t *testing.T, p *pipeline.Pipeline, path string, want errcode.Code) {
	t.Helper()
	j := newJob(path, contract.TargetSpec{Format: "raw"})
	err := j.begin(t, p)
	for n := 1; err == nil && n <= j.detected.Count(); n++ {
		_, _, err = p.Validate(t.Context(), contract.ValidateParams{TaskID: j.task, Fetched: j.fetched, Detected: j.detected, Disk: n})
	}
	if errcode.Of(err) != want {
		t.Fatalf("got %v, want %s", err, want)
	}
	if errcode.Lookup(want).Remedy == "" {
		t.Errorf("%s has no remedy", want)
	}
}

// bomb packs n bytes of one value.
func bomb(t *testing.T, dir string, b byte, n int, args ...string) string {
	t.Helper()
	return put(t, dir, fmt.Sprint("bomb-", b, ".", args[0]), tool(t, dir, bytes.Repeat([]byte{b}, n), args[0], args[1:]...))
}

// Bombs end within the limits, and staging holds no more than they allow: of zeros
// nothing at all.
func TestBombsStayWithinStaging(t *testing.T) {
	dir := t.TempDir()
	const bytesOut, limit = 96 << 20, 24 << 20
	zip := func(b byte) string {
		name := fmt.Sprint("bomb-", b)
		put(t, dir, name, bytes.Repeat([]byte{b}, bytesOut))
		tool(t, dir, nil, "zip", "-q", name+".zip", name)
		return filepath.Join(dir, name+".zip")
	}
	for name, make := range map[string]func(b byte) string{
		"gzip":  func(b byte) string { return bomb(t, dir, b, bytesOut, "gzip", "-c") },
		"xz":    func(b byte) string { return bomb(t, dir, b, bytesOut, "xz", "-0c") },
		"zstd":  func(b byte) string { return bomb(t, dir, b, bytesOut, "zstd", "-qc") },
		"bzip2": func(b byte) string { return bomb(t, dir, b, bytesOut, "bzip2", "-1c") },
		"zip":   zip,
	} {
		for _, b := range []byte{0, 'a'} {
			path := make(b)
			for _, c := range []struct {
				name  string
				set   func(*pipeline.Pipeline, *unwrap.Limits)
				codes []errcode.Code // of zeros, of others; "" for none
			}{
				{"output", func(_ *pipeline.Pipeline, l *unwrap.Limits) { l.Output, l.Ratio = limit, 1<<20 }, []errcode.Code{errcode.DecompressedTooLarge, errcode.DecompressedTooLarge}},
				{"ratio", func(_ *pipeline.Pipeline, l *unwrap.Limits) { l.Ratio = 10 }, []errcode.Code{"", errcode.ExpansionRatio}},
				{"source bytes", func(p *pipeline.Pipeline, l *unwrap.Limits) { p.MaxSourceBytes, l.Ratio = limit, 1<<20 }, []errcode.Code{"", errcode.DecompressedTooLarge}},
			} {
				t.Run(fmt.Sprint(name, " of ", b, "/", c.name), func(t *testing.T) {
					p, _ := newPipeline(t, dir)
					lim := unwrap.DefaultLimits()
					c.set(p, &lim)
					p.Unwrap = &lim
					want, most := c.codes[0], int64(0)
					if b != 0 {
						want, most = c.codes[1], limit
					}
					j := newJob(path, contract.TargetSpec{})
					_, err := p.Fetch(t.Context(), contract.FetchParams{TaskID: j.task, Source: j.source}, nil)
					if errcode.Of(err) != want {
						t.Errorf("got %v, want %q", err, want)
					}
					// A sidecar and the file's own blocks may be there.
					if n := stagedBytes(t, p); n > most+64<<10 {
						t.Errorf("staging takes %d bytes, want at most %d", n, most)
					}
				})
			}
		}
	}
}

func TestRefusedLayers(t *testing.T) {
	dir := t.TempDir()
	disk := imgtest.Random(4, 5<<20, 2<<20)
	raw := moved(t, dir, "d.raw", imgtest.WriteRaw(t, disk))
	gz := squeeze(t, dir, raw, "gzip", "-c")
	b, err := os.ReadFile(gz)
	if err != nil {
		t.Fatal(err)
	}
	tool(t, dir, nil, "tar", "-cf", "gz.tar", filepath.Base(gz))
	tool(t, dir, nil, "tar", "-cf", "inner.tar", "d.raw")
	tool(t, dir, nil, "tar", "-cf", "outer.tar", "inner.tar")
	put(t, dir, "other.raw", []byte("x"))
	put(t, dir, "disk.raw", bytes.Repeat([]byte("disk"), 1<<10))
	tool(t, dir, nil, "tar", "--format=oldgnu", "-Sczf", "two.tar.gz", "disk.raw", "other.raw")
	tool(t, dir, nil, "zip", "-q", "two.zip", "d.raw", "other.raw")
	overlay := put(t, dir, "overlay.qcow2.gz", tool(t, dir, mustRead(t, overlay(t)), "gzip", "-c"))
	for _, c := range []struct {
		name, path string
		want       errcode.Code
	}{
		{"gzip in gzip", squeeze(t, dir, gz, "gzip", "-c"), errcode.CompressionNested},
		{"gzip in xz", squeeze(t, dir, gz, "xz", "-c"), errcode.CompressionNested},
		{"gzip in a tar", filepath.Join(dir, "gz.tar"), errcode.FormatNotAllowed},
		{"tar in a tar", filepath.Join(dir, "outer.tar"), errcode.FormatNotAllowed},
		{"bytes behind the end", put(t, dir, "trailing.gz", append(bytes.Clone(b), "more"...)), errcode.TrailingData},
		{"cut short", put(t, dir, "short.gz", b[:len(b)/2]), errcode.Truncated},
		{"a flipped bit", put(t, dir, "bad.gz", flipped(b, len(b)-3)), errcode.CompressionCorrupt},
		{"nothing in it", put(t, dir, "empty.gz", tool(t, dir, nil, "gzip", "-c")), errcode.Empty},
		{"disk.raw and another", filepath.Join(dir, "two.tar.gz"), errcode.GCPLayout},
		{"a zip of two", filepath.Join(dir, "two.zip"), errcode.ZipInvalid},
		{"a qcow2 with a backing file", overlay, errcode.QCOW2BackingFile},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := newPipeline(t, dir)
			refusedAs(t, p, c.path, c.want)
			rep, err := p.Inspect(t.Context(), c.path, "")
			if errcode.Of(err) != c.want || rep.Safe || !rep.Refused() {
				t.Errorf("inspect: %v, report %+v", err, rep)
			}
		})
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 4
	return b
}

// A packed image that its first bytes refuse is not unwrapped to its end.
func TestUnwrappingIsCutOffWhereTheHeadDecides(t *testing.T) {
	dir := t.TempDir()
	path := put(t, dir, "long.gz", tool(t, dir, mustRead(t, long(t, overlay(t))), "gzip", "-1c"))
	p, _ := newPipeline(t, dir)
	j := newJob(path, contract.TargetSpec{})
	err := j.begin(t, p)
	var refused *pipeline.Refused
	if errcode.Of(err) != errcode.QCOW2BackingFile || !errors.As(err, &refused) || refused.Report.Safe {
		t.Fatalf("got %v", err)
	}
	if n := stagedBytes(t, p); n > 2<<20 {
		t.Errorf("%d bytes were unwrapped", n)
	}
}

// The parts of an Amazon image are what they are: nothing is taken off.
func TestDeclaredOpaqueIsNotUnwrapped(t *testing.T) {
	dir := t.TempDir()
	path := put(t, dir, "initrd", tool(t, dir, bytes.Repeat([]byte("ramdisk"), 1<<10), "gzip", "-c"))
	p, _ := newPipeline(t, dir)
	j := newJob(path, contract.TargetSpec{})
	j.source.Format = "ARI"
	if err := j.begin(t, p); err != nil || j.fetched.Layer != "" || j.detected.Format != "ari" {
		t.Errorf("%v, fetched %+v, detected %+v", err, j.fetched, j.detected)
	}
}

// A canary is a file that nobody may open.
type canary struct {
	path string
	fd   int
}

const secret = "the-secret-of-the-host"

// newCanary watches a file from here on.
func newCanary(t *testing.T) canary {
	t.Helper()
	c := canary{path: put(t, t.TempDir(), "canary.vmdk", []byte(strings.Repeat(secret+"\n", 4096)))}
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	c.fd = fd
	if _, err := unix.InotifyAddWatch(fd, c.path, unix.IN_OPEN|unix.IN_ACCESS); err != nil {
		t.Fatal(err)
	}
	return c
}

// opened reports whether somebody has opened the file since.
func (c canary) opened() bool {
	n, err := unix.Read(c.fd, make([]byte, 4096))
	return err != unix.EAGAIN || n > 0
}

func TestCanarySees(t *testing.T) {
	c := newCanary(t)
	if c.opened() {
		t.Error("opened before anybody did")
	}
	mustRead(t, c.path)
	if !c.opened() {
		t.Error("an open is not seen")
	}
}

// A descriptor or a manifest of an OVA, and a disk in it, that name a file of the
// host are refused: it is never opened, and nothing of it shows anywhere.
func TestHostFilesNamedByAnOVA(t *testing.T) {
	c := newCanary(t)
	dir := t.TempDir()
	disk := imgtest.Random(6, 3<<20, 1<<20)
	moved(t, dir, "m.vmdk", imgtest.Convert(t, imgtest.WriteRaw(t, disk), "raw", "vmdk", "subformat=streamOptimized"))
	rel, err := filepath.Rel(dir, c.path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "flat.vmdk", []byte("# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 128 FLAT \""+c.path+"\" 0\n"))
	ova := func(name, href string, files ...string) string {
		return handmade(t, dir, name+".ova", virtualBoxOVF(ovfDisk{href, disk.Size()}), files...)
	}
	badManifest := ova("manifest", "m.vmdk", "m.vmdk")
	put(t, dir, "manifest.mf", bytes.Replace(mustRead(t, filepath.Join(dir, "manifest.mf")), []byte("(m.vmdk)"), []byte("("+c.path+")"), 1))
	tool(t, dir, nil, "tar", "-cf", "manifest.ova", "--format=ustar", "manifest.ovf", "manifest.mf", "m.vmdk")
	wrong := ova("wrong", "m.vmdk", "m.vmdk")
	mf := mustRead(t, filepath.Join(dir, "wrong.mf"))
	put(t, dir, "wrong.mf", flipped(mf, len(mf)-3))
	tool(t, dir, nil, "tar", "-cf", "wrong.ova", "--format=ustar", "wrong.ovf", "wrong.mf", "m.vmdk")
	larger := handmade(t, dir, "larger.ova", virtualBoxOVF(ovfDisk{"m.vmdk", disk.Size() + 512}), "m.vmdk")
	if err := os.Symlink(c.path, filepath.Join(dir, "link.vmdk")); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "link.ovf", []byte(virtualBoxOVF(ovfDisk{"link.vmdk", disk.Size()})))
	tool(t, dir, nil, "tar", "-cf", "link.ova", "--format=ustar", "link.ovf", "link.vmdk")
	for _, tt := range []struct {
		name, path string
		want       errcode.Code
	}{
		{"absolute href", ova("absolute", c.path, "m.vmdk"), errcode.OVAPath},
		{"relative href", ova("relative", rel, "m.vmdk"), errcode.OVAPath},
		{"file URL", ova("url", "file://"+c.path, "m.vmdk"), errcode.OVARemoteHref},
		{"href of the net", ova("net", "http://127.0.0.1:1/m.vmdk", "m.vmdk"), errcode.OVARemoteHref},
		{"name of the host's file alone", ova("base", filepath.Base(c.path), "m.vmdk"), errcode.OVAMemberMissing},
		{"manifest that names it", badManifest, errcode.OVAManifest},
		{"manifest with another digest", wrong, errcode.OVAManifest},
		{"another capacity", larger, errcode.OVACapacity},
		{"symbolic link", filepath.Join(dir, "link.ova"), errcode.OVALink},
		{"descriptor of a VMDK in it", ova("flat", "flat.vmdk", "flat.vmdk"), errcode.VMDKDescriptorOnly},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := newPipeline(t, dir)
			refusedAs(t, p, tt.path, tt.want)
			rep, err := p.Inspect(t.Context(), tt.path, "")
			raw, _ := json.Marshal(rep)
			if errcode.Of(err) != tt.want || strings.Contains(string(raw)+err.Error(), secret) {
				t.Errorf("%v, report %s", err, raw)
			}
			if c.opened() {
				t.Error("the host's file was opened")
			}
			empty(t, p.StagingDir)
		})
	}
}
