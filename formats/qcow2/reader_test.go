package qcow2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// qemuVariants are the options of qemu-img that change what is in the file.
var qemuVariants = []struct {
	name    string
	options []string
}{
	{"v2", []string{"compat=0.10"}},
	{"v3", []string{"compat=1.1"}},
	{"v2 deflate", []string{"compat=0.10", "-c"}},
	{"512 byte clusters", []string{"cluster_size=512"}},
	{"512 byte clusters deflate", []string{"cluster_size=512", "-c"}},
	{"4 KiB clusters zstd", []string{"cluster_size=4k,compression_type=zstd", "-c"}},
	{"64 KiB clusters deflate", []string{"-c"}},
	{"64 KiB clusters zstd", []string{"compression_type=zstd", "-c"}},
	{"2 MiB clusters", []string{"cluster_size=2M"}},
	{"2 MiB clusters deflate", []string{"cluster_size=2M", "-c"}},
	{"2 MiB clusters zstd", []string{"cluster_size=2M,compression_type=zstd", "-c"}},
	{"extended", []string{"extended_l2=on"}},
	{"extended 16 KiB", []string{"extended_l2=on,cluster_size=16k"}},
	{"extended 128 KiB deflate", []string{"extended_l2=on,cluster_size=128k", "-c"}},
	{"metadata", []string{"preallocation=metadata"}},
	{"extended metadata", []string{"preallocation=metadata,extended_l2=on"}},
	{"falloc", []string{"preallocation=falloc"}},
	{"full", []string{"preallocation=full"}},
	{"lazy refcounts", []string{"lazy_refcounts=on"}},
	{"refcounts of 1 bit", []string{"refcount_bits=1"}},
	{"keep zeros", []string{"-S0"}},
}

// TestReadsWhatQemuWrites holds the own data path against what went into the
// images, and against the witness.
func TestReadsWhatQemuWrites(t *testing.T) {
	disks := map[string]*imgtest.Disk{
		"random": imgtest.Random(31, 9<<20+5*512, 4<<20),
	}
	for _, c := range imgtest.Cases() {
		if c.Name == "changes within clusters" {
			disks[c.Name] = c.Disk
		}
	}
	for name, disk := range disks {
		raw := imgtest.WriteRaw(t, disk)
		for _, v := range qemuVariants {
			t.Run(name+"/"+v.name, func(t *testing.T) {
				path := imgtest.Convert(t, raw, "raw", "qcow2", v.options...)
				checkReader(t, imgtest.OpenFile(t, path), disk)
				image, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				agree(t, image)
			})
		}
	}
}

func TestReadsEveryCase(t *testing.T) {
	for _, c := range imgtest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			raw := imgtest.WriteRaw(t, c.Disk)
			checkReader(t, imgtest.OpenFile(t, imgtest.Convert(t, raw, "raw", "qcow2")), c.Disk)
		})
	}
}

// checkReader runs the suite and the validation over a file.
func checkReader(t *testing.T, file *imgtest.File, want imgtest.Content) {
	t.Helper()
	openFile := formattest.OpenBytes(Format{}, file, file.Size())
	formattest.Reader(t, formattest.Spec{Open: openFile, File: file, Want: want})
	d := openFile(t)
	if _, err := d.(formats.Validator).Validate(t.Context()); err != nil {
		t.Errorf("validate: %v", err)
	}
}

// qemuIO changes an image in place with the given commands.
func qemuIO(t *testing.T, path string, commands ...string) {
	t.Helper()
	imgtest.NeedQemu(t)
	var args []string
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	out, err := exec.Command("qemu-io", append(args, "-f", "qcow2", path)...).CombinedOutput()
	if err != nil || strings.Contains(string(out), "rror") {
		t.Fatalf("qemu-io %q: %v\n%s", commands, err, out)
	}
}

// TestReadsWhatAGuestDid reads images after writes, discards, zero writes and
// an internal snapshot, against qemu-img's own conversion.
func TestReadsWhatAGuestDid(t *testing.T) {
	for _, options := range []string{"cluster_size=64k", "cluster_size=4k", "extended_l2=on", "extended_l2=on,cluster_size=32k", "compat=0.10"} {
		t.Run(options, func(t *testing.T) {
			raw := imgtest.WriteRaw(t, imgtest.Random(77, 6<<20, 3<<20))
			path := imgtest.Convert(t, raw, "raw", "qcow2", options)
			work := []string{"write -P 17 100k 3k", "write -P 18 1M 200k", "write -P 3 5M 1536"}
			if options != "compat=0.10" {
				work = append(work, "write -z 1100k 70k", "write -z 4M 512k", "write -z -u 2M 64k", "discard 3M 256k")
			}
			qemuIO(t, path, work...)
			imgtest.QemuImg(t, "snapshot", "-c", "before", path)
			qemuIO(t, path, "write -P 19 1M 130k", "write -P 20 100k 512", "write -P 21 4100k 9k")
			image, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			agree(t, image)
			want := imgtest.OpenFile(t, imgtest.Convert(t, path, "qcow2", "raw"))
			file := imgtest.OpenFile(t, path)
			checkReader(t, file, want)
			d := formattest.OpenBytes(Format{}, file, file.Size())(t)
			if f := d.Info().Findings; len(f) != 1 || f[0].Code != errcode.QCOW2Snapshots {
				t.Errorf("findings are %+v, want one about snapshots", f)
			}
		})
	}
}

func TestExtentsAreExact(t *testing.T) {
	path := imgtest.Create(t, "qcow2", 8<<40, "cluster_size=64k")
	qemuIO(t, path, "write -P 1 0 128k", "write -z 128k 64k", "write -P 1 2T 64k", "write -P 1 8388607M 1M")
	file := imgtest.OpenFile(t, path)
	d := formattest.OpenBytes(Format{}, file, file.Size())(t)
	var got []string
	for off := int64(0); off < d.Size(); {
		e, err := d.ExtentAt(off)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %d %d %v", e.State, e.Off, e.Len, e.HostOff >= 0))
		off = e.End()
	}
	const span = 512 << 20
	want := []string{
		"data 0 131072 true",
		"zero 131072 65536 false",
		fmt.Sprintf("hole %d %d false", 196608, span-196608),
		fmt.Sprintf("hole %d %d false", span, 2<<40-span),
		fmt.Sprintf("data %d 65536 true", 2<<40),
		fmt.Sprintf("hole %d %d false", 2<<40+65536, span-65536),
		fmt.Sprintf("hole %d %d false", 2<<40+span, 8<<40-2*span-2<<40),
		fmt.Sprintf("hole %d %d false", 8<<40-span, span-1<<20),
		fmt.Sprintf("data %d %d true", 8<<40-1<<20, 1<<20),
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("extents are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestOnlyTheLastClusterMayBePartial cuts the file within its last data
// cluster, as old programs leave it, and one byte before it.
func TestOnlyTheLastClusterMayBePartial(t *testing.T) {
	disk := imgtest.New(1<<20, 5, imgtest.Run{Off: 0, Len: 200 << 10, Kind: imgtest.Noise})
	whole, err := os.ReadFile(imgtest.Convert(t, imgtest.WriteRaw(t, disk), "raw", "qcow2"))
	if err != nil {
		t.Fatal(err)
	}
	// The last of the four data clusters holds 8 KiB of noise.
	cut := int64(len(whole)) - 56<<10
	file := bytes.NewReader(whole[:cut])
	d := formattest.OpenBytes(Format{}, file, cut)(t)
	imgtest.EqualDisk(t, d, disk)
	if e, err := d.ExtentAt(192 << 10); err != nil || e.HostOff != -1 {
		t.Errorf("a partial cluster has host offset %d, %v; want -1", e.HostOff, err)
	}
	cut = int64(len(whole)) - 64<<10
	d = formattest.OpenBytes(Format{}, file, cut)(t)
	if _, err := d.ReadAt(make([]byte, 1), 192<<10); errcode.Of(err) != errcode.Truncated {
		t.Errorf("read past the end of the file: %v, want %s", err, errcode.Truncated)
	}
	if n, err := d.ReadAt(make([]byte, 192<<10), 0); n != 192<<10 || err != nil {
		t.Errorf("read before the cut: %d, %v", n, err)
	}
}

func TestUnalignedSizeIsKept(t *testing.T) {
	path := imgtest.Create(t, "qcow2", 100<<10)
	qemuIO(t, path, "write -P 7 0 100k")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint64(b[24:], 100<<10-100)
	d := formattest.OpenBytes(Format{}, bytes.NewReader(b), int64(len(b)))(t)
	if d.Size() != 100<<10-100 || len(d.Info().Findings) != 1 || d.Info().Findings[0].Code != errcode.SizeUnaligned {
		t.Errorf("size %d, findings %+v", d.Size(), d.Info().Findings)
	}
	buf := make([]byte, 200_000)
	if n, err := d.ReadAt(buf, 0); n != 100<<10-100 || err != io.EOF || bytes.IndexByte(buf[:n], 0) >= 0 || buf[n] != 0 {
		t.Errorf("read over the end: %d, %v", n, err)
	}
}

// TestNamedFilesAreNeverRead lays a readable file where the image names it, as
// backing file and as data file, and looks for its bytes.
func TestNamedFilesAreNeverRead(t *testing.T) {
	dir := t.TempDir()
	canary := filepath.Join(dir, "canary.raw")
	secret := bytes.Repeat([]byte("host canary "), 1<<20/12)
	if err := os.WriteFile(canary, append(secret, make([]byte, 1<<20-len(secret))...), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.qcow2")
	imgtest.QemuImg(t, "create", "-q", "-f", "qcow2", "-b", canary, "-F", "raw", overlay)
	outside := filepath.Join(dir, "outside.qcow2")
	imgtest.QemuImg(t, "create", "-q", "-f", "qcow2", "-o", "data_file="+canary+",data_file_raw=on", outside, "1M")
	for path, want := range map[string]errcode.Code{overlay: errcode.QCOW2BackingFile, outside: errcode.QCOW2DataFile} {
		t.Run(string(want), func(t *testing.T) {
			if err := os.WriteFile(canary, secret, 0o600); err != nil {
				t.Fatal(err)
			}
			file := imgtest.OpenFile(t, path)
			d := formattest.OpenBytes(Format{}, file, file.Size())(t)
			if got := errcode.Of(d.Info().Unreadable); got != want {
				t.Errorf("unreadable with %s, want %s", got, want)
			}
			if names := d.Info().Names; len(names) != 1 || names[0] != canary {
				t.Errorf("names are %q, want the canary", names)
			}
			before := openFiles(t)
			buf := make([]byte, 1<<20)
			if n, err := d.ReadAt(buf, 0); n != 0 || errcode.Of(err) != want || bytes.Contains(buf, []byte("canary")) {
				t.Errorf("read %d bytes, %v", n, err)
			}
			if _, err := d.ExtentAt(0); errcode.Of(err) != want {
				t.Errorf("extent: %v", err)
			}
			if after := openFiles(t); after != before {
				t.Errorf("open files were %s, are %s", before, after)
			}
		})
	}
}

// openFiles lists the files that this process has open.
func openFiles(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("NOT TESTED: no /proc: %v", err)
	}
	var names []string
	for _, e := range entries {
		if n, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(n, os.TempDir()) {
			names = append(names, n)
		}
	}
	return strings.Join(names, " ")
}
