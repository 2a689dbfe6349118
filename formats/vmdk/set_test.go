package vmdk

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// qemuSet returns the descriptor of the disk as qemu-img writes it in several
// files, and those files.
func qemuSet(t testing.TB, src *imgtest.Disk, sub string) (path string, members []formats.Member) {
	t.Helper()
	path = imgtest.Convert(t, imgtest.WriteRaw(t, src), "raw", "vmdk", "subformat="+sub)
	names, err := filepath.Glob(strings.TrimSuffix(path, ".vmdk") + "-*.vmdk")
	if err != nil || len(names) == 0 {
		t.Fatalf("no extent files beside %s: %v", path, err)
	}
	for _, name := range names {
		f := imgtest.OpenFile(t, name)
		// The caller's order does not matter.
		members = append([]formats.Member{{Name: filepath.Base(name), R: f, Size: f.Size()}}, members...)
	}
	return path, members
}

// openMembers returns a Spec's Open for a set.
func openMembers(r io.ReaderAt, size int64, members []formats.Member) func(testing.TB) formats.Disk {
	return func(t testing.TB) formats.Disk {
		t.Helper()
		d, err := Format{}.OpenSet(r, size, members, formats.DefaultLimits())
		if err != nil {
			t.Fatalf("open the set: %v", err)
		}
		return d
	}
}

// wide is a disk of three pieces of at most 2 GiB, with data over the borders.
func wide() imgtest.Case {
	return imgtest.Case{Name: "three pieces", Disk: imgtest.New(5<<30+512, 1,
		imgtest.Run{Off: 0, Len: 70_000, Kind: imgtest.Text},
		imgtest.Run{Off: 2<<30 - 3<<16 + 5, Len: 5 << 16, Kind: imgtest.Noise},
		imgtest.Run{Off: 4<<30 - 512, Len: 1024, Kind: imgtest.Text},
		imgtest.Run{Off: 5<<30 - 100, Len: 612, Kind: imgtest.Noise})}
}

func TestQemuSets(t *testing.T) {
	for _, sub := range []string{"monolithicFlat", "twoGbMaxExtentFlat", "twoGbMaxExtentSparse"} {
		for i, c := range append(imgtest.Cases(), wide()) {
			if sub != "twoGbMaxExtentSparse" && i%3 != 0 && c.Name != wide().Name {
				continue // flat files are all alike: some of the disks will do
			}
			t.Run(sub+"/"+c.Name, func(t *testing.T) {
				path, members := qemuSet(t, c.Disk, sub)
				if want := map[bool]int{true: 3, false: 1}[c.Name == wide().Name && sub != "monolithicFlat"]; want > len(members) {
					t.Fatalf("%d extent files, want %d", len(members), want)
				}
				f := imgtest.OpenFile(t, path)
				open := openMembers(f, f.Size(), members)
				oracle := imgtest.OpenFile(t, imgtest.Convert(t, path, "vmdk", "raw"))
				formattest.Reader(t, formattest.Spec{Open: open, Want: oracle})

				d := open(t)
				imgtest.EqualDisk(t, d, c.Disk)
				info := d.Info()
				size := f.Size()
				for _, m := range members {
					size += m.Size
				}
				if info.Subformat != sub || len(info.Findings) != 0 || !info.HolesKnown || info.FileSize != size {
					t.Errorf("info %+v", info)
				}
			})
		}
	}
}

// descriptorOf returns a text descriptor of the given extent lines.
func descriptorOf(createType string, lines ...string) []byte {
	return []byte("# Disk DescriptorFile\r\nversion=1\r\nencoding=\"UTF-8\"\r\nCID=fffffffe\r\nparentCID=ffffffff\r\ncreateType=\"" +
		createType + "\"\r\n\r\n# Extent description\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n#DDB\r\nddb.adapterType = \"lsilogic\"\r\n")
}

// bytesOf reads all of a disk.
func bytesOf(t testing.TB, d *imgtest.Disk) []byte {
	t.Helper()
	b := make([]byte, d.Size())
	imgtest.ReadFull(t, d, b, 0)
	return b
}

func member(name string, b []byte) formats.Member {
	return formats.Member{Name: name, R: bytes.NewReader(b), Size: int64(len(b))}
}

func TestDescriptorsAsESXWritesThem(t *testing.T) {
	src := imgtest.Random(8, 9<<20, 3<<20)
	rawPath := imgtest.WriteRaw(t, src)
	flat := imgtest.OpenFile(t, rawPath)
	for _, c := range []struct{ name, createType, line string }{
		{"vmfs", "vmfs", `RW 18432 VMFS "disk-flat.vmdk"`},
		{"thin, in capitals, with offset", "VMFSTHIN", `rw 18432 vmfs "disk-flat.vmdk" 0`},
		{"read only", "vmfs", `RDONLY 18432 VMFS "disk-flat.vmdk"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := descriptorOf(c.createType, c.line)
			open := openMembers(bytes.NewReader(text), int64(len(text)), []formats.Member{{Name: "disk-flat.vmdk", R: flat, Size: flat.Size()}})
			formattest.Reader(t, formattest.Spec{Open: open, Want: src})
			if d := open(t); !d.Info().HolesKnown {
				t.Error("the holes of the flat file are not known")
			}
			if !strings.HasPrefix(c.line, "RW") || strings.HasSuffix(c.line, "0") {
				return // qemu reads neither
			}
			path := filepath.Join(t.TempDir(), "disk.vmdk")
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(rawPath, filepath.Join(filepath.Dir(path), "disk-flat.vmdk")); err != nil {
				t.Fatal(err)
			}
			imgtest.EqualDisk(t, open(t), imgtest.OpenFile(t, imgtest.Convert(t, path, "vmdk", "raw")))
		})
	}
}

// Offsets, zeros, and one file for several extents, which qemu does not read.
func TestExtentsWithOffsetsAndZeros(t *testing.T) {
	a, b := imgtest.Random(1, 2<<20, 1<<20), imgtest.Random(2, 3<<20, 2<<20)
	lines := []string{
		`RW 63 ZERO`,
		`RW 1000 FLAT "b.vmdk" 77`,
		`RW 2048 FLAT "a.vmdk" 2048`,
		`RW 5 ZERO`,
		`RW 2048 FLAT "a.vmdk" 0`,
		`RW 77 FLAT "b.vmdk" 0`,
	}
	var want []byte
	ab, bb := bytesOf(t, a), bytesOf(t, b)
	want = append(want, make([]byte, 63*512)...)
	want = append(want, bb[77*512:1077*512]...)
	want = append(want, ab[2048*512:]...)
	want = append(want, make([]byte, 5*512)...)
	want = append(want, ab[:2048*512]...)
	want = append(want, bb[:77*512]...)
	wantPath := filepath.Join(t.TempDir(), "want.raw")
	if err := os.WriteFile(wantPath, want, 0o600); err != nil {
		t.Fatal(err)
	}
	text := descriptorOf("twoGbMaxExtentFlat", lines...)
	for _, c := range []struct {
		name  string
		holes bool
		a, b  io.ReaderAt
	}{{"holes known", true, a, b}, {"holes of one known", false, bytes.NewReader(ab), b}} {
		t.Run(c.name, func(t *testing.T) {
			open := openMembers(bytes.NewReader(text), int64(len(text)), []formats.Member{
				{Name: "a.vmdk", R: c.a, Size: a.Size()}, {Name: "b.vmdk", R: c.b, Size: b.Size()}})
			formattest.Reader(t, formattest.Spec{Open: open, Want: imgtest.OpenFile(t, wantPath)})
			d := open(t)
			info := d.Info()
			if info.HolesKnown != c.holes || len(info.Findings) != 1 || !strings.Contains(info.Findings[0].Message, `member "b.vmdk"`) {
				t.Errorf("info %+v, want a finding about what is left of b.vmdk", info)
			}
			if e, err := d.ExtentAt(5); err != nil || e.State != formats.Zero || e.Len != 63*512 {
				t.Errorf("extent of a ZERO line: %+v, %v", e, err)
			}
			if !c.holes {
				return
			}
			n, err := formats.DataBytes(d)
			if most := int64(len(want)); err != nil || n == 0 || n >= most {
				t.Errorf("%d bytes of data of %d, %v", n, most, err)
			}
		})
	}
}

// sparsePiece returns a KDMV file without descriptor, as VMware writes pieces.
func sparsePiece(t testing.TB, src *imgtest.Disk) []byte {
	t.Helper()
	b, err := os.ReadFile(imgtest.Convert(t, imgtest.WriteRaw(t, src), "raw", "vmdk", "subformat=monolithicSparse"))
	if err != nil {
		t.Fatal(err)
	}
	return le64(36, 0)(le64(28, 0)(b))
}

func TestPiecesWithoutRoomForADescriptor(t *testing.T) {
	a, b := imgtest.Random(1, 3<<20, 1<<20), imgtest.Random(2, 2<<20+512, 1<<20)
	text := descriptorOf("twoGbMaxExtentSparse", `RW 6144 SPARSE "x-s001.vmdk"`, `RW 9 ZERO`, `RW 4097 SPARSE "x-s002.vmdk"`)
	want := filepath.Join(t.TempDir(), "want.raw")
	if err := os.WriteFile(want, append(append(bytesOf(t, a), make([]byte, 9*512)...), bytesOf(t, b)...), 0o600); err != nil {
		t.Fatal(err)
	}
	first := sparsePiece(t, a)
	first[72] = 1
	open := openMembers(bytes.NewReader(text), int64(len(text)), []formats.Member{member("x-s002.vmdk", sparsePiece(t, b)), member("x-s001.vmdk", first)})
	formattest.Reader(t, formattest.Spec{Open: open, Want: imgtest.OpenFile(t, want)})
	info := open(t).Info()
	if len(info.Findings) != 1 || !strings.Contains(info.Findings[0].Message, `member "x-s001.vmdk"`) || info.BlockSize != 64<<10 {
		t.Errorf("info %+v, want that the first piece was not closed", info)
	}
}

func TestWithoutMembersOpenSetIsOpen(t *testing.T) {
	b := sparseFile(t)
	d, err := Format{}.OpenSet(bytes.NewReader(b), int64(len(b)), nil, formats.DefaultLimits())
	if err != nil || d.Info().Subformat != monolithicSparse {
		t.Errorf("%v, %v", d, err)
	}
	text := descriptorOf("vmfs", `RW 8 VMFS "x-flat.vmdk"`)
	if _, err := (Format{}).OpenSet(bytes.NewReader(text), int64(len(text)), nil, formats.DefaultLimits()); errcode.Of(err) != errcode.VMDKDescriptorOnly {
		t.Errorf("a descriptor alone: %v, want %s", err, errcode.VMDKDescriptorOnly)
	}
}

func TestErrorsOfAMemberKeepTheirCodeAndNameIt(t *testing.T) {
	gone := errcode.New(errcode.SourceUnreachable, "the source stopped answering")
	piece := sparsePiece(t, full())
	for _, c := range []struct{ createType, line string }{{"vmfs", `RW 6144 VMFS "m.vmdk"`}, {"twoGbMaxExtentSparse", `RW 6144 SPARSE "m.vmdk"`}} {
		text := descriptorOf(c.createType, c.line)
		for after := int64(0); after < 5; after++ {
			r := &failingReader{ReaderAt: bytes.NewReader(piece), after: after, err: gone}
			d, err := Format{}.OpenSet(bytes.NewReader(text), int64(len(text)), []formats.Member{{Name: "m.vmdk", R: r, Size: int64(len(piece))}}, formats.DefaultLimits())
			for err == nil {
				_, err = d.ReadAt(make([]byte, 1<<20), 0)
			}
			if errcode.Of(err) != errcode.SourceUnreachable || !strings.Contains(fmt.Sprint(err), `"m.vmdk"`) {
				t.Errorf("%s, reader fails at read %d: %v", c.createType, after, err)
			}
		}
	}
}
