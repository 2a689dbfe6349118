package pipeline_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"ingest/detect"
	"ingest/formats"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// containerImage is what `docker save` makes of an image with one layer, in which
// there is one file of this name.
func containerImage(t *testing.T, name string) []byte {
	t.Helper()
	return containerImageOf(t, name, 900_000)
}

// containerImageOf is containerImage with a file of so many words.
func containerImageOf(t *testing.T, name string, words int) []byte {
	t.Helper()
	tarOf := func(files ...string) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for i := 0; i < len(files); i += 2 {
			if err := w.WriteHeader(&tar.Header{Name: files[i], Typeflag: '0', Mode: 0o644, Size: int64(len(files[i+1]))}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(files[i+1])); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		return b.Bytes()
	}
	layer := tarOf(name, string(bytes.Repeat([]byte("text "), words)))
	return tarOf("manifest.json", `[{"Config":"c.json","RepoTags":["box:1"],"Layers":["l.tar"]}]`, "c.json", "{}", "l.tar", string(layer))
}

// TestContainerImageKeepsItsBytes imports an archive as it is and compressed.
func TestContainerImageKeepsItsBytes(t *testing.T) {
	dir := t.TempDir()
	image := containerImage(t, "etc/motd")
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(image)
	z.Close()
	for _, c := range []struct {
		name, declared string
		file           []byte
		size           int64
	}{
		{"image.tar", "", image, int64(len(image))},
		{"declared.tar", "raw", image, int64(len(image))},
		{"image.tar.gz", "", packed.Bytes(), int64(len(image))},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := put(t, dir, c.name, c.file)
			p, _ := newPipeline(t, dir)
			j := newJob(path, contract.TargetSpec{})
			j.source.Format = c.declared
			if err := j.run(t, p); err != nil {
				t.Fatal(err)
			}
			if j.detected.Container != "docker" || j.target.StoredAs() != "raw" || j.target.ContainerFormat != "docker" {
				t.Errorf("found in %q, stored as %q in %q", j.detected.Container, j.target.StoredAs(), j.target.ContainerFormat)
			}
			got, err := os.ReadFile(objectFile(t, p, j, ".tar"))
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(image)
			if !bytes.Equal(got, image) || j.checksummed.HashValue != hex.EncodeToString(sum[:]) {
				t.Errorf("%d bytes are stored of %d, with the digest %s", len(got), len(image), j.checksummed.HashValue)
			}
			rep, err := p.Inspect(t.Context(), path, c.declared)
			if err != nil || !rep.Safe || rep.DiskFormat != formats.Raw || rep.ContainerFormat != "docker" || rep.VirtualSize != c.size {
				t.Errorf("%v, %+v", err, rep)
			}
		})
	}
}

func TestContainerImageIsNotConverted(t *testing.T) {
	dir := t.TempDir()
	path := put(t, dir, "image.tar", containerImage(t, "etc/motd"))
	for _, format := range []string{"raw", "qcow2", "ami", "iso", "ova"} {
		p, _ := newPipeline(t, dir)
		j := newJob(path, contract.TargetSpec{Format: format})
		err := j.run(t, p)
		if errcode.Of(err) != errcode.TargetFormat {
			t.Fatalf("into %s: %v", format, err)
		}
		requireAdvice(t, err)
	}
	for _, declared := range []string{"qcow2", "iso", "vmdk"} {
		p, _ := newPipeline(t, dir)
		j := newJob(path, contract.TargetSpec{})
		j.source.Format = declared
		if err := j.run(t, p); errcode.Of(err) != errcode.FormatMismatch {
			t.Errorf("declared %s: %v", declared, err)
		}
	}
	disk := put(t, dir, "disk.raw", bytes.Repeat([]byte("disk"), 4096))
	p, _ := newPipeline(t, dir)
	if err := newJob(disk, contract.TargetSpec{Format: string(detect.Docker)}).run(t, p); errcode.Of(err) != errcode.TargetFormat {
		t.Errorf("a disk into docker: %v", err)
	}
}

// An unsafe layer is found before a byte is stored, and the report names it.
func TestContainerImageWithAnUnsafeLayer(t *testing.T) {
	dir := t.TempDir()
	path := put(t, dir, "image.tar", containerImage(t, "../../etc/motd"))
	p, _ := newPipeline(t, dir)
	if err := newJob(path, contract.TargetSpec{}).run(t, p); errcode.Of(err) != errcode.DockerLayer {
		t.Error(err)
	}
	rep, err := p.Inspect(t.Context(), path, "")
	if errcode.Of(err) != errcode.DockerLayer || rep.Safe || !rep.Refused() {
		t.Fatalf("%v, %+v", err, rep)
	}
	last := rep.Checks[len(rep.Checks)-1]
	if last.Result != detect.Fail || last.Code != errcode.DockerLayer || last.Remedy == "" || last.Evidence == nil || last.Evidence.Value != "../../etc/motd" {
		t.Errorf("%+v", last)
	}
}

// An empty disk that a machine has beside its others is told and not imported.
func TestBlankDiskOfAMachineIsTold(t *testing.T) {
	dir := t.TempDir()
	disk := small()[0]
	text := virtualBoxOVF(ovfDisk{"m.vmdk", disk.Size()})
	blank := strings.Replace(text, "</DiskSection>", `<Disk ovf:capacity="1024" ovf:diskId="blank"/></DiskSection>`, 1)
	moved(t, dir, "m.vmdk", imgtest.Convert(t, imgtest.WriteRaw(t, disk), "raw", "vmdk", "subformat=streamOptimized"))
	p, _ := newPipeline(t, dir)
	for descriptor, want := range map[string]int{text: 0, blank: 1} {
		rep, err := p.Inspect(t.Context(), handmade(t, dir, "m.ova", descriptor, "m.vmdk"), "")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range rep.Findings {
			if f.Evidence != nil && f.Evidence.Structure == "DiskSection" && f.Evidence.Value == "1" && f.Remedy != "" {
				n++
			}
		}
		if n != want || !rep.Safe {
			t.Errorf("%d findings of a blank disk, want %d: %+v", n, want, rep.Findings)
		}
	}
}
