package vmdk

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// opener makes a Format of Open, for a set with fixed members.
type opener struct {
	Format
	members []formats.Member
}

func (o opener) Open(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	return o.OpenSet(r, size, o.members, lim)
}

func TestRefusedSets(t *testing.T) {
	piece := sparsePiece(t, full())
	whole := sparseFile(t)
	flat := make([]byte, 3<<20)
	good := member("a.vmdk", flat)
	other := member("b.vmdk", flat)
	sparse := member("a.vmdk", piece)
	line := `RW 6144 FLAT "a.vmdk" 0`
	with := func(m func([]byte) []byte) formats.Member { return member("a.vmdk", m(bytes.Clone(piece))) }
	for _, c := range []struct {
		name       string
		createType string
		lines      string
		members    []formats.Member
		want       errcode.Code
		lim        *formats.Limits
	}{
		{name: "good flat", createType: "monolithicFlat", lines: line, members: []formats.Member{good}},
		{name: "good sparse", createType: "twoGbMaxExtentSparse", lines: `RW 6144 SPARSE "a.vmdk"`, members: []formats.Member{sparse}},
		{name: "missing member", createType: "twoGbMaxExtentFlat", lines: line + "\n" + `RW 6144 FLAT "b.vmdk" 0`, members: []formats.Member{good}, want: errcode.MemberMissing},
		{name: "names differ in case", createType: "monolithicFlat", lines: line, members: []formats.Member{member("A.vmdk", flat)}, want: errcode.MemberMissing},
		{name: "extra member", createType: "monolithicFlat", lines: line, members: []formats.Member{good, other}, want: errcode.MemberMismatch},
		{name: "extra members only", createType: "monolithicFlat", lines: "RW 10 ZERO", members: []formats.Member{good}, want: errcode.MemberMismatch},
		{name: "one name twice", createType: "monolithicFlat", lines: line, members: []formats.Member{good, good}, want: errcode.MemberMismatch},
		{name: "path in the name", createType: "monolithicFlat", lines: `RW 6144 FLAT "../a.vmdk" 0`, members: []formats.Member{good}, want: errcode.VMDKExtentPath},
		{name: "path of Windows", createType: "monolithicFlat", lines: `RW 6144 FLAT "x\a.vmdk" 0`, members: []formats.Member{member(`x\a.vmdk`, flat)}, want: errcode.VMDKExtentPath},
		{name: "drive in the name", createType: "monolithicFlat", lines: `RW 6144 FLAT "C:a.vmdk" 0`, members: []formats.Member{member("C:a.vmdk", flat)}, want: errcode.VMDKExtentPath},
		{name: "device", createType: "monolithicFlat", lines: `RW 6144 FLAT "\\.\PhysicalDrive0" 0`, members: []formats.Member{good}, want: errcode.VMDKExtentPath},
		{name: "path behind a good line", createType: "monolithicFlat", lines: line + "\n" + `RW 1 FLAT "/etc/shadow" 0`, members: []formats.Member{good}, want: errcode.VMDKExtentPath},
		{name: "folder as a name", createType: "monolithicFlat", lines: `RW 6144 FLAT ".." 0`, members: []formats.Member{good}, want: errcode.MemberMissing},
		{name: "flat member too short", createType: "monolithicFlat", lines: line, members: []formats.Member{member("a.vmdk", flat[:3<<20-1])}, want: errcode.Truncated},
		{name: "flat member too short for its offset", createType: "monolithicFlat", lines: `RW 6144 FLAT "a.vmdk" 1`, members: []formats.Member{good}, want: errcode.Truncated},
		{name: "offset past the end", createType: "monolithicFlat", lines: `RW 1 FLAT "a.vmdk" 9000000000000000`, members: []formats.Member{good}, want: errcode.Truncated},
		{name: "offset overflows bytes", createType: "monolithicFlat", lines: `RW 1 FLAT "a.vmdk" 9223372036854775807`, members: []formats.Member{good}, want: errcode.VMDKDescriptor},
		{name: "negative offset", createType: "monolithicFlat", lines: `RW 1 FLAT "a.vmdk" -1`, members: []formats.Member{good}, want: errcode.VMDKDescriptor},
		{name: "words behind the offset", createType: "monolithicFlat", lines: `RW 1 FLAT "a.vmdk" 0 1`, members: []formats.Member{good}, want: errcode.VMDKDescriptor},
		{name: "no offset", createType: "monolithicFlat", lines: `RW 6144 FLAT "a.vmdk"`, members: []formats.Member{good}, want: errcode.VMDKDescriptor},
		{name: "offset of a sparse extent", createType: "twoGbMaxExtentSparse", lines: `RW 6144 SPARSE "a.vmdk" 0`, members: []formats.Member{sparse}, want: errcode.VMDKDescriptor},
		{name: "extents overlap", createType: "twoGbMaxExtentFlat", lines: `RW 100 FLAT "a.vmdk" 0` + "\n" + `RW 100 FLAT "a.vmdk" 99`, members: []formats.Member{good}, want: errcode.AliasedBlocks},
		{name: "extents overlap, the later first", createType: "twoGbMaxExtentFlat", lines: `RW 100 FLAT "a.vmdk" 99` + "\n" + `RW 100 FLAT "a.vmdk" 0`, members: []formats.Member{good}, want: errcode.AliasedBlocks},
		{name: "one piece twice", createType: "twoGbMaxExtentSparse", lines: `RW 6144 SPARSE "a.vmdk"` + "\n" + `RW 6144 SPARSE "a.vmdk"`, members: []formats.Member{sparse}, want: errcode.AliasedBlocks},
		{name: "no sectors", createType: "monolithicFlat", lines: line + "\n" + `RW 0 FLAT "a.vmdk" 0`, members: []formats.Member{good}, want: errcode.VMDKDescriptor},
		{name: "sum above the limit", createType: "monolithicFlat", lines: line + "\nRW 1 ZERO", members: []formats.Member{good}, want: errcode.VirtualSizeTooLarge, lim: small(func(l *formats.Limits) { l.VirtualSize = 3 << 20 })},
		{name: "sum overflows", createType: "monolithicFlat", lines: "RW 9223372036854775807 ZERO\nRW 9223372036854775807 ZERO\n" + line, members: []formats.Member{good}, want: errcode.VirtualSizeTooLarge},
		{name: "descriptor above the limit", createType: "monolithicFlat", lines: line, members: []formats.Member{good}, want: errcode.VMDKDescriptor, lim: small(func(l *formats.Limits) { l.DescriptorBytes = 100 })},
		{name: "no extents", createType: "monolithicFlat", members: []formats.Member{good}, want: errcode.VMDKDescriptor},
		{name: "no quotation marks", createType: "monolithicFlat", lines: `RW 6144 FLAT a.vmdk 0`, members: []formats.Member{good}, want: errcode.VMDKDescriptor},
		{name: "no name", createType: "monolithicFlat", lines: `RW 6144 FLAT "" 0`, members: []formats.Member{good}, want: errcode.VMDKDescriptor},
		{name: "zeros with a name", createType: "monolithicFlat", lines: line + "\n" + `RW 1 ZERO "a.vmdk"`, members: []formats.Member{good}, want: errcode.VMDKDescriptor},
		{name: "hidden extent", createType: "monolithicFlat", lines: `NOACCESS 6144 FLAT "a.vmdk" 0`, members: []formats.Member{good}, want: errcode.VMDKSubformat},
		{name: "sparse line in a flat disk", createType: "monolithicFlat", lines: `RW 6144 SPARSE "a.vmdk"`, members: []formats.Member{sparse}, want: errcode.VMDKDescriptor},
		{name: "flat line in a sparse disk", createType: "twoGbMaxExtentSparse", lines: line, members: []formats.Member{good}, want: errcode.VMDKDescriptor},
		{name: "VMFSSPARSE", createType: "vmfs", lines: `RW 6144 VMFSSPARSE "a.vmdk"`, members: []formats.Member{good}, want: errcode.VMDKSubformat},
		{name: "VMFSRDM", createType: "vmfs", lines: `RW 6144 VMFSRDM "a.vmdk"`, members: []formats.Member{good}, want: errcode.VMDKSubformat},
		{name: "createType vmfsSparse", createType: "vmfsSparse", lines: `RW 6144 VMFSSPARSE "a.vmdk"`, members: []formats.Member{good}, want: errcode.VMDKSubformat},
		{name: "createType seSparse", createType: "seSparse", lines: `RW 6144 SESPARSE "a.vmdk"`, members: []formats.Member{good}, want: errcode.VMDKSubformat},
		{name: "createType fullDevice", createType: "fullDevice", lines: line, members: []formats.Member{good}, want: errcode.VMDKSubformat},
		{name: "createType partitionedDevice", createType: "partitionedDevice", lines: line, members: []formats.Member{good}, want: errcode.VMDKSubformat},
		{name: "createType vmfsRDM", createType: "vmfsRDM", lines: line, members: []formats.Member{good}, want: errcode.VMDKSubformat},
		{name: "createType custom", createType: "custom", lines: line, members: []formats.Member{good}, want: errcode.VMDKSubformat},
		{name: "createType of one file", createType: "monolithicSparse", lines: `RW 6144 SPARSE "a.vmdk"`, members: []formats.Member{member("a.vmdk", whole)}, want: errcode.VMDKSubformat},
		{name: "no createType", lines: line, members: []formats.Member{good}, want: errcode.VMDKDescriptor},
		{name: "delta", createType: "monolithicFlat", lines: line + "\nparentFileNameHint=\"base.vmdk\"", members: []formats.Member{good}, want: errcode.VMDKParent},
		{name: "version 4", createType: "monolithicFlat", lines: line + "\nversion=4", members: []formats.Member{good}, want: errcode.VMDKDescriptor},
		{name: "piece is raw", createType: "twoGbMaxExtentSparse", lines: `RW 6144 SPARSE "a.vmdk"`, members: []formats.Member{good}, want: errcode.MemberMismatch},
		{name: "piece is a whole disk", createType: "twoGbMaxExtentSparse", lines: `RW 6144 SPARSE "a.vmdk"`, members: []formats.Member{member("a.vmdk", whole)}, want: errcode.MemberMismatch},
		{name: "piece of another size", createType: "twoGbMaxExtentSparse", lines: `RW 6145 SPARSE "a.vmdk"`, members: []formats.Member{sparse}, want: errcode.MemberMismatch},
		{name: "piece is COWD", createType: "twoGbMaxExtentSparse", lines: `RW 6144 SPARSE "a.vmdk"`, members: []formats.Member{with(formattest.Set(0, []byte(magicCOWD)...))}, want: errcode.VMDKSubformat},
		{name: "piece is seSparse", createType: "twoGbMaxExtentSparse", lines: `RW 6144 SPARSE "a.vmdk"`, members: []formats.Member{with(formattest.Set(0, []byte(magicSE)...))}, want: errcode.VMDKSubformat},
		{name: "piece is compressed", createType: "twoGbMaxExtentSparse", lines: `RW 6144 SPARSE "a.vmdk"`, members: []formats.Member{with(func(b []byte) []byte {
			return formattest.Set(77, 1)(le32(8, flagCompressed|flagMarkers)(b))
		})}, want: errcode.VMDKSubformat},
		{name: "piece of version 4", createType: "twoGbMaxExtentSparse", lines: `RW 6144 SPARSE "a.vmdk"`, members: []formats.Member{with(le32(4, 4))}, want: errcode.VMDKHeader},
		{name: "piece names other files", createType: "twoGbMaxExtentSparse", lines: `RW 6144 SPARSE "a.vmdk"`, members: []formats.Member{member("a.vmdk", le64(12, 0)(bytes.Clone(whole)))}, want: errcode.VMDKExtentPath},
		{name: "piece has its descriptor elsewhere", createType: "twoGbMaxExtentSparse", lines: `RW 6144 SPARSE "a.vmdk"`, members: []formats.Member{with(le64(28, 2))}, want: errcode.VMDKDescriptor},
		{name: "piece is empty", createType: "twoGbMaxExtentSparse", lines: `RW 6144 SPARSE "a.vmdk"`, members: []formats.Member{member("a.vmdk", nil)}, want: errcode.Truncated},
		{name: "piece cut in its tables", createType: "twoGbMaxExtentSparse", lines: `RW 6144 SPARSE "a.vmdk"`, members: []formats.Member{with(func(b []byte) []byte { return b[:60000] })}, want: errcode.Truncated},
		{name: "piece cut in its last grain", createType: "twoGbMaxExtentSparse", lines: `RW 6144 SPARSE "a.vmdk"`, members: []formats.Member{with(formattest.Cut(1))}, want: errcode.Truncated},
		{name: "two grains in one place", createType: "twoGbMaxExtentSparse", lines: `RW 6144 SPARSE "a.vmdk"`, members: []formats.Member{with(func(b []byte) []byte { setGTE(b, 7, gteOf(b, 9)); return b })}, want: errcode.AliasedBlocks},
	} {
		t.Run(c.name, func(t *testing.T) {
			lim := formats.DefaultLimits()
			if c.lim != nil {
				lim = *c.lim
			}
			text := descriptorOf(c.createType, c.lines)
			if c.createType == "" {
				text = bytes.Replace(text, []byte(`createType=""`), []byte("# none"), 1)
			}
			text = bytes.Replace(text, []byte("version=1\r\n"), nil, strings.Count(c.lines, "version="))
			err := useSet(t.Context(), bytes.NewReader(text), int64(len(text)), c.members, lim)
			if got := errcode.Of(err); got != c.want {
				t.Fatalf("refused with %q, want %q: %v", got, c.want, err)
			}
			if e, ok := errcode.As(err); ok && (e.Evidence == nil || e.Evidence.Format == "") {
				t.Errorf("no evidence in %v", err)
			}
		})
	}
}

// useSet opens, validates and reads a set.
func useSet(ctx context.Context, r io.ReaderAt, size int64, members []formats.Member, lim formats.Limits) error {
	d, err := Format{}.OpenSet(r, size, members, lim)
	if err != nil {
		return err
	}
	if _, err := d.(formats.Validator).Validate(ctx); err != nil {
		return err
	}
	_, err = d.ReadAt(make([]byte, min(d.Size(), 8<<20)), 0)
	return err
}

func TestMembersOfADiskInOneFile(t *testing.T) {
	whole := sparseFile(t)
	piece := sparsePiece(t, full())
	for _, c := range []struct {
		name  string
		image []byte
		want  errcode.Code
	}{
		{"whole disk", whole, errcode.MemberMismatch},
		{"a piece instead of the descriptor", piece, errcode.VMDKSubformat},
		{"capacity 0", le64(12, 0)(bytes.Clone(whole)), errcode.VMDKExtentPath},
		{"no vmdk", make([]byte, 4096), errcode.FormatMismatch},
	} {
		_, err := Format{}.OpenSet(bytes.NewReader(c.image), int64(len(c.image)), []formats.Member{member("image.vmdk", piece)}, formats.DefaultLimits())
		if got := errcode.Of(err); got != c.want {
			t.Errorf("%s: %q, want %s: %v", c.name, got, c.want, err)
		}
	}
}

func TestAMissingMemberIsNamed(t *testing.T) {
	text := descriptorOf("vmfs", `RW 8 VMFS "one-flat.vmdk"`, `RW 8 VMFS "two-flat.vmdk"`, `RW 8 VMFS "three-flat.vmdk"`)
	_, err := Format{}.OpenSet(bytes.NewReader(text), int64(len(text)), []formats.Member{member("one-flat.vmdk", make([]byte, 4096))}, formats.DefaultLimits())
	e, ok := errcode.As(err)
	if !ok || e.Evidence.Value != "two-flat.vmdk" || !strings.Contains(e.Message, `"two-flat.vmdk"`) || !strings.Contains(e.Message, "nor 1 more") || !strings.Contains(e.Remedy(), "--member FILE") {
		t.Errorf("%+v", err)
	}
}

func FuzzOpenSet(f *testing.F) {
	formattest.Seeds(f)
	piece := plainSeed()
	le64(28, 0)(piece)
	flat := bytes.Repeat([]byte("flat"), 1024)
	f.Add(descriptorOf("monolithicFlat", `RW 8 FLAT "b" 0`), piece[:0], flat)
	f.Add(descriptorOf("twoGbMaxExtentSparse", `RW 22 SPARSE "a"`, `RW 3 ZERO`), piece, flat[:0])
	f.Add(descriptorOf("vmfs", `RW 4 VMFS "b" 4`, `RW 1 ZERO`, `RW 3 VMFS "b"`), piece[:0], flat)
	f.Fuzz(func(t *testing.T, text, a, b []byte) {
		var members []formats.Member
		if len(a) > 0 {
			members = append(members, member("a", a))
		}
		if len(b) > 0 {
			members = append(members, formats.Member{Name: "b", R: imgtest.New(int64(len(b)), 1, imgtest.Run{Off: 0, Len: int64(len(b)), Kind: imgtest.Text}), Size: int64(len(b))})
		}
		formattest.Fuzz(t, opener{members: members}, text)
	})
}

func TestFuzzSeedsAreGood(t *testing.T) {
	piece := le64(28, 0)(plainSeed())
	text := descriptorOf("twoGbMaxExtentSparse", `RW 22 SPARSE "a"`, `RW 3 ZERO`)
	formattest.Refused(t, opener{members: []formats.Member{member("a", piece)}}, text, nil)
}
