package pipeline_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/pipeline"
	"ingest/sources"
	"ingest/stores/fs"
)

// A told driver is one of whose sources a catalogue tells.
type told struct {
	sources.Driver
	about *sources.About
}

type toldSource struct {
	sources.Source
	about *sources.About
}

func (d told) Open(ctx context.Context, ref sources.Ref, pin *sources.Pin) (sources.Source, error) {
	s, err := d.Driver.Open(ctx, ref, pin)
	if err != nil {
		return nil, err
	}
	return toldSource{s, d.about}, nil
}

func (s toldSource) Unwrap() sources.Source { return s.Source }

func (s toldSource) About() sources.About { return *s.about }

// keptAs runs a job that keeps a file as it is, of which its image service says what
// about does.
func keptAs(t *testing.T, path string, about sources.About) (*job, *pipeline.Pipeline, *fs.Store, error) {
	t.Helper()
	g, url := newGate(t, path, true, 0)
	g.release()
	p, store := newPipeline(t, filepath.Dir(path))
	p.Sources = sources.Set{told{loopbackPipeline("").Sources[0], &about}}
	j := newJob(url, contract.TargetSpec{AsIs: true})
	return j, p, store, j.run(t, p)
}

// machine makes an OVA of a disk.
func machine(t *testing.T, disk string) string {
	t.Helper()
	dir := t.TempDir()
	vmdk := filepath.Join(dir, "disk.vmdk")
	imgtest.QemuImg(t, "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", disk, vmdk)
	info, err := os.Stat(disk)
	if err != nil {
		t.Fatal(err)
	}
	return handmade(t, dir, "machine.ova", virtualBoxOVF(ovfDisk{"disk.vmdk", info.Size()}), "disk.vmdk")
}

// What stays as it is has every byte of its source, whatever that is.
func TestKeptAsItIs(t *testing.T) {
	disk := imgtest.WriteRaw(t, imgtest.Random(41, 5<<20, 3<<20))
	odd := filepath.Join(t.TempDir(), "odd.raw")
	if err := os.WriteFile(odd, append(read(t, disk), "and some more"...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path, format, container string
		virtual                       int64 // 0 means that of the disk
	}{
		{"raw", disk, "raw", "bare", 0},
		{"raw, no whole sectors", odd, "raw", "bare", 5<<20 + 13},
		{"qcow2", imgtest.Convert(t, disk, "raw", "qcow2"), "qcow2", "bare", 0},
		{"vmdk", imgtest.Convert(t, disk, "raw", "vmdk"), "vmdk", "bare", 0},
		{"vdi", imgtest.Convert(t, disk, "raw", "vdi"), "vdi", "bare", 0},
		{"vhdx", imgtest.Convert(t, disk, "raw", "vhdx"), "vhdx", "bare", 8 << 20},
		{"a kernel", disk, "aki", "aki", 0},
		{"ova", machine(t, disk), "vmdk", "ova", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			about := sources.About{DiskFormat: c.format, ContainerFormat: c.container, Digests: []string{fileDigest(t, c.path)}}
			j, p, _, err := keptAs(t, c.path, about)
			if err != nil {
				t.Fatal(err)
			}
			if c.virtual == 0 {
				c.virtual = 5 << 20
			}
			source := read(t, c.path)
			if !bytes.Equal(read(t, objectFile(t, p, j, "")), source) || j.converted.Size != int64(len(source)) {
				t.Errorf("%d bytes were stored, and they are others", j.converted.Size)
			}
			if j.target.DiskFormat != c.format || j.target.ContainerFormat != c.container || j.detected.VirtualSize != c.virtual && c.format != "vhdx" {
				t.Errorf("target %+v, found %+v", j.target, j.detected)
			}
			if got := j.checksummed.HashAlgo + ":" + j.checksummed.HashValue; got != about.Digests[0] {
				t.Errorf("stored digest %s, the source's %s", got, about.Digests[0])
			}
			if len(j.fetched.Verifications) != 1 || !j.fetched.Staged {
				t.Errorf("fetched %+v", j.fetched)
			}
		})
	}
}

// What is kept as it is must be what its image service says, and have the digest that
// this keeps.
func TestNotKeptAsItIs(t *testing.T) {
	disk := imgtest.WriteRaw(t, imgtest.Random(42, 3<<20, 1<<20))
	qcow2 := imgtest.Convert(t, disk, "raw", "qcow2")
	backed := filepath.Join(t.TempDir(), "backed.qcow2")
	imgtest.QemuImg(t, "create", "-q", "-f", "qcow2", "-b", disk, "-F", "raw", backed)
	packed := filepath.Join(t.TempDir(), "disk.gz")
	if err := os.WriteFile(packed, command(t, read(t, disk), "gzip", "-c"), 0o600); err != nil {
		t.Fatal(err)
	}
	ova := machine(t, disk)
	for _, c := range []struct {
		name, path, format, container string
		digest                        string // "" for the right one
		want                          errcode.Code
	}{
		{"qcow2 as raw", qcow2, "raw", "bare", "", errcode.FormatMismatch},
		{"raw as qcow2", disk, "qcow2", "bare", "", errcode.FormatUnknown},
		{"an ova as a disk", ova, "vmdk", "bare", "", errcode.FormatMismatch},
		{"a disk as an ova", qcow2, "qcow2", "ova", "", errcode.FormatMismatch},
		{"a backing file", backed, "qcow2", "bare", "", errcode.QCOW2BackingFile},
		{"packed", packed, "raw", "compressed", "", errcode.FormatNotAllowed},
		{"packed, said to be a disk", packed, "qcow2", "bare", "", errcode.FormatNotAllowed},
		{"a container image", disk, "raw", "docker", "", errcode.FormatNotAllowed},
		{"a format that is not known", disk, "ploop", "bare", "", errcode.FormatUnknown},
		{"no format", disk, "", "bare", "", errcode.SourceDescription},
		{"no container", disk, "raw", "", "", errcode.SourceDescription},
		{"no digest", disk, "raw", "bare", "none", errcode.SourceDescription},
		{"another digest", disk, "raw", "bare", fileDigest(t, qcow2), errcode.ChecksumMismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			about := sources.About{DiskFormat: c.format, ContainerFormat: c.container, Digests: []string{fileDigest(t, c.path)}}
			if c.digest != "" {
				about.Digests = []string{c.digest}
			}
			if c.digest == "none" {
				about.Digests = nil
			}
			j, p, store, err := keptAs(t, c.path, about)
			if errcode.Of(err) != c.want {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if err := p.Cleanup(t.Context(), contract.CleanupParams{TaskID: j.task, ImageID: j.image, Key: j.key}); err != nil {
				t.Fatal(err)
			}
			nothingLeft(t, p, store)
		})
	}
}

// Image services older than their other digests keep MD5: what was proven by it is known by
// a digest that cannot be forged.
func TestKeptAsItIsByMD5(t *testing.T) {
	disk := imgtest.WriteRaw(t, imgtest.Random(43, 3<<20, 1<<20))
	sum := md5.Sum(read(t, disk))
	j, _, _, err := keptAs(t, disk, sources.About{DiskFormat: "raw", ContainerFormat: "bare", Digests: []string{"md5:" + hex.EncodeToString(sum[:])}})
	if err != nil || j.fetched.SourceDigest != fileDigest(t, disk) {
		t.Errorf("known by %s, %v", j.fetched.SourceDigest, err)
	}
}

// What was stored is held against the source's digest once more.
func TestStoredAsFetched(t *testing.T) {
	disk := imgtest.WriteRaw(t, imgtest.Random(44, 3<<20, 1<<20))
	j, p, _, err := keptAs(t, disk, sources.About{DiskFormat: "raw", ContainerFormat: "bare", Digests: []string{fileDigest(t, disk)}})
	if err != nil {
		t.Fatal(err)
	}
	j.key = contract.ObjectKey(j.image, contract.DerivedUploadID(j.task, 2, ""))
	if j.converted, err = p.Convert(t.Context(), j.convertParams(), nil); err != nil {
		t.Fatal(err)
	}
	for digest, want := range map[string]errcode.Code{"sha512:00": "", "": "", j.fetched.SourceDigest: "", "sha256:00": errcode.VerifyMismatch} {
		c := j.checksumParams()
		c.Digest = digest
		if _, err := p.Checksum(t.Context(), c, nil, nil); errcode.Of(err) != want {
			t.Errorf("digest %q: %v, want %q", digest, err, want)
		}
	}
}

// Another version of the bytes is refused, though its image service still says the old one's
// digest: what was staged of the old one is never gone on with.
func TestNotKeptIfItChanges(t *testing.T) {
	rawPath := noiseDisk(t, aheadBytes)
	g, url := newGate(t, rawPath, true, aheadGate)
	p, store := newPipeline(t, filepath.Dir(rawPath))
	p.Sources = sources.Set{told{loopbackPipeline("").Sources[0], &sources.About{DiskFormat: "raw", ContainerFormat: "bare", Digests: []string{fileDigest(t, rawPath)}}}}
	j := newJob(url, contract.TargetSpec{AsIs: true})
	j.ahead = true
	run := j.beginFetch(t, p)
	run.until(t, store, 16<<20)
	other := bytes.Clone(read(t, rawPath))
	other[0]++
	g.change(`"two"`, other)
	if err := <-run.ended; errcode.Of(err) != errcode.SourceChanged {
		t.Errorf("the fetch ended with %v", err)
	}
	g.release()
	if err := j.run(t, p); errcode.Of(err) != errcode.ChecksumMismatch {
		t.Errorf("another attempt ended with %v", err)
	}
	if err := p.Cleanup(t.Context(), contract.CleanupParams{TaskID: j.task, ImageID: j.image}); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, p, store)
}
