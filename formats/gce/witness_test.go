package gce

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/imgtest"
)

// tool runs a program that reads what is written with other eyes. An absent one
// fails the test, as an absent qemu-img does.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv(imgtest.SkipEnv) != "" {
			t.Skipf("NOT TESTED: %s is absent and %s is set", name, imgtest.SkipEnv)
		}
		t.Fatalf("%s is a witness of this test and is absent; set %s to skip", name, imgtest.SkipEnv)
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// witnessLarge leaves out who would write or read terabytes of zeros.
const witnessLarge = 1 << 40

// witness has the file read by gzip, GNU tar, Python and Go's archive/tar.
func witness(t *testing.T, file []byte, disk *imgtest.Disk, large int64) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "image.tar.gz")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	size := open(t, file).Size()
	stored := int64(0)
	for e, err := range formats.Extents(open(t, file), 0, size) {
		if err != nil {
			t.Fatal(err)
		}
		if e.State == formats.Data {
			stored += e.Len
		}
	}
	tool(t, "gzip", "-t", path)
	line := strings.Fields(tool(t, "tar", "-tvzf", path))
	if want := []string{"-rw-r--r--", "0/0", fmt.Sprint(size), "1970-01-01", "00:00", "disk.raw"}; strings.Join(line, " ") != strings.Join(want, " ") {
		t.Errorf("tar lists %q, want %q", line, want)
	}
	tool(t, "tar", "-xzf", path, "-C", dir)
	checkFile(t, filepath.Join(dir, "disk.raw"), disk, size, stored)
	if size >= large {
		return
	}
	py := t.TempDir()
	tool(t, "python3", "-c", pythonTar, path, py)
	checkFile(t, filepath.Join(py, "disk.raw"), disk, size, stored)
	checkArchiveTar(t, file, disk, size)
}

// pythonTar extracts the one member and says what else there is.
const pythonTar = `
import sys, tarfile
with tarfile.open(sys.argv[1], "r:gz") as t:
    members = t.getmembers()
    assert [m.name for m in members] == ["disk.raw"], members
    assert members[0].issparse() and members[0].mtime == 0 and members[0].mode == 0o644
    t.extract(members[0], sys.argv[2])
`

// checkFile holds an extracted file against the disk. It must be sparse: as many
// bytes as the map has, and a few for the file system's own blocks.
func checkFile(t *testing.T, path string, disk *imgtest.Disk, size, stored int64) {
	t.Helper()
	f := imgtest.OpenFile(t, path)
	if f.Size() != size {
		t.Fatalf("%s has %d bytes, want %d", path, f.Size(), size)
	}
	imgtest.Equal(t, f, disk, disk.Size())
	if start, end, err := f.NextData(disk.Size()); err != nil || start < end {
		p := make([]byte, end-start)
		imgtest.ReadFull(t, f, p, start)
		if !bytes.Equal(p, make([]byte, len(p))) {
			t.Errorf("%s: there are bytes behind the source's end", path)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	// Half as much again and 1 MiB: extents of the file system's own tree.
	if used := info.Sys().(*syscall.Stat_t).Blocks * 512; used > stored*3/2+1<<20 {
		t.Errorf("%s takes %d bytes for %d stored ones: it is not sparse", path, used, stored)
	}
}

// checkArchiveTar reads with Go's standard library, holes and all.
func checkArchiveTar(t *testing.T, file []byte, disk *imgtest.Disk, size int64) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(z)
	h, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if h.Name != "disk.raw" || h.Typeflag != tar.TypeGNUSparse || h.Size != size || h.Format != tar.FormatGNU || h.ModTime.Unix() != 0 {
		t.Errorf("header %+v", h)
	}
	got, want := make([]byte, 1<<20), make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(got)) {
		p := got[:min(int64(len(got)), size-off)]
		if _, err := io.ReadFull(r, p); err != nil {
			t.Fatalf("at %d: %v", off, err)
		}
		clear(want)
		if off < disk.Size() {
			imgtest.ReadFull(t, disk, want[:min(int64(len(p)), disk.Size()-off)], off)
		}
		if !bytes.Equal(p, want[:len(p)]) {
			t.Fatalf("archive/tar reads other bytes within [%d, %d)", off, off+int64(len(p)))
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("behind disk.raw: %v, want the end", err)
	}
}

func TestWitnesses(t *testing.T) {
	for _, c := range formattest.WriterCases() {
		t.Run(c.Name, func(t *testing.T) {
			file, _ := formattest.Record(t, Encoder{}, c.Disk, nil)
			witness(t, file.Bytes, c.Disk, 4<<30)
		})
	}
	t.Run("no rounding", func(t *testing.T) {
		disk := imgtest.Random(71, 20<<20+7*512, 8<<20)
		file, _ := formattest.Record(t, Encoder{Align: 512}, disk, nil)
		witness(t, file.Bytes, disk, witnessLarge)
	})
}

// TestSameBytesAsTar makes GNU tar write the same disks, in the way that Google
// says: the tar files are equal, with one block of the map and with several.
func TestSameBytesAsTar(t *testing.T) {
	for _, pieces := range []int64{0, 3, 4, 25, 26, 60} {
		t.Run(fmt.Sprint(pieces), func(t *testing.T) {
			var runs []imgtest.Run
			for i := range pieces {
				runs = append(runs, imgtest.Run{Off: 145 << 20 * i, Len: 4096 * (1 + i), Kind: imgtest.Noise})
			}
			sameAsTar(t, imgtest.New(9<<30, 5, runs...))
		})
	}
}

func sameAsTar(t *testing.T, disk *imgtest.Disk) {
	t.Helper()
	file, _ := formattest.Record(t, Encoder{}, disk, nil)
	dir := t.TempDir()
	if err := os.Rename(imgtest.WriteRaw(t, disk), filepath.Join(dir, "disk.raw")); err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(t.TempDir(), "their.tar.gz")
	tool(t, "tar", "--format=oldgnu", "-Sczf", theirs, "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--mode=0644", "-C", dir, "disk.raw")
	packed, err := os.ReadFile(theirs)
	if err != nil {
		t.Fatal(err)
	}
	got, want := unpack(t, file.Bytes), unpack(t, packed)
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("byte %d is %q, tar writes %q", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("the tar file has %d bytes, GNU tar's %d", len(got), len(want))
	}
}

// unpack returns the tar file within.
func unpack(t testing.TB, file []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	p, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
