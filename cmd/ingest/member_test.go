package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingest/internal/imgtest"
)

// runLocal runs a command line of the local commands.
func runLocal(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, errOut bytes.Buffer
	g := &globals{}
	code := execute(t.Context(), g, localCommands(g), args, &out, &errOut)
	return outcome{code, out.String(), errOut.String()}
}

func TestMembers(t *testing.T) {
	disk := imgtest.New(5<<30, 1, imgtest.Run{Off: 2<<30 - 70_000, Len: 200_000, Kind: imgtest.Text}, imgtest.Run{Off: 5<<30 - 512, Len: 512, Kind: imgtest.Noise})
	src := imgtest.Convert(t, imgtest.WriteRaw(t, disk), "raw", "vmdk", "subformat=twoGbMaxExtentSparse")
	var members, membersB []string
	for _, n := range []string{"3", "1", "2"} {
		piece := strings.TrimSuffix(src, ".vmdk") + "-s00" + n + ".vmdk"
		// What counts is the name, not where a link leads.
		blob := filepath.Join(t.TempDir(), "blob"+n)
		if err := os.Rename(piece, blob); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(blob, piece); err != nil {
			t.Fatal(err)
		}
		members, membersB = append(members, "--member", piece), append(membersB, "--member-b", "file://"+blob)
	}
	with := func(args ...string) []string { return append(args, members...) }
	dst := filepath.Join(t.TempDir(), "out.qcow2")

	runLocal(t, with("convert", src, dst, "--verify", "-q")...).want(t, 0, `.*read back and equal.*`, "")
	imgtest.EqualDisk(t, disk, imgtest.OpenFile(t, imgtest.Convert(t, dst, "qcow2", "raw")))
	runLocal(t, with("inspect", src)...).want(t, 0, `.*twoGbMaxExtentSparse.*its members, 3 in all.*`, "")
	runLocal(t, with("compare", src, dst, "-q")...).want(t, 0, `same content\n`, "")
	runLocal(t, with("compare", dst, src, "-q")...).want(t, 1, "", `error: BAD_REQUEST .*`)

	a := runLocal(t, with("digest", src, "-q")...).want(t, 0, `ingest-content-v1:[0-9a-f]{64}  .*\n`, "")
	b := runLocal(t, "digest", dst, "-q").want(t, 0, `.*`, "")
	if a.out[:80] != b.out[:80] {
		t.Errorf("digests differ: %s%s", a.out, b.out)
	}
	runLocal(t, with("digest", src, dst)...).want(t, 2, "", `.*--member does not say which.*`)
	runLocal(t, "inspect", src).want(t, 1, `.*IMG_VMDK_DESCRIPTOR_ONLY.*--member disk-flat.vmdk.*`, "")
	runLocal(t, with("inspect", src)[:4]...).want(t, 1, `.*IMG_MEMBER_MISSING.*-s001.vmdk.*--member FILE.*`, "")
	runLocal(t, append([]string{"compare", dst, src, "-q"}, membersB...)...).want(t, 1, "", `error: IMG_MEMBER_MISSING .*`)
}

func TestMembersNames(t *testing.T) {
	got, err := membersOf([]string{"a/b-flat.vmdk", "https://h/x/y%20z.vhd?sig=1", "/x/C:y"})
	if err != nil || len(got) != 3 {
		t.Fatal(got, err)
	}
	for i, want := range []string{"b-flat.vmdk", "y z.vhd", "C:y"} {
		if got[i].Name != want {
			t.Errorf("name %q, want %q", got[i].Name, want)
		}
	}
}
