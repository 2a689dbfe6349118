package archive

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ingest/formats/formattest"
	"ingest/internal/errcode"
)

// tool runs a real program, which has to be there unless the tests with outside
// programs are skipped.
func tool(t testing.TB, dir string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		if os.Getenv("INGEST_SKIP_QEMU") != "" {
			t.Skip(err)
		}
		t.Fatalf("%v; scripts/setup installs it", err)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// folder makes a folder of two disks.
func folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, size := range map[string]int{"a.raw": 5000, "disk number two, with a name that does not fit into the hundred bytes which old tar headers have for it.vmdk": 1024} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte{name[0]}, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// wantCode fails unless err has the code and evidence.
func wantCode(t testing.TB, err error, code errcode.Code) {
	t.Helper()
	if e, ok := errcode.As(err); errcode.Of(err) != code || ok && e.Evidence == nil {
		t.Errorf("got %v, want %s with evidence", err, code)
	}
}

func open(p []byte) ([]Member, error) { return Tar(bytes.NewReader(p), int64(len(p)), DefaultLimits()) }

func TestTarOfRealPrograms(t *testing.T) {
	python := func(format string) []string {
		return []string{"python3", "-c", `import tarfile, os, sys
t = tarfile.open("../out.tar", "w", format=tarfile.` + format + `)
for n in sorted(os.listdir(".")): t.add(n)
t.close()`}
	}
	for _, c := range []struct {
		name string
		args []string
	}{
		{"gnu", []string{"tar", "--format=gnu", "-cf", "../out.tar", "--", "a.raw"}},
		{"all, gnu", []string{"sh", "-c", "tar --format=gnu -cf ../out.tar *"}},
		{"all, posix", []string{"sh", "-c", "tar --format=posix -cf ../out.tar *"}},
		{"oldgnu", []string{"sh", "-c", "tar --format=oldgnu -cf ../out.tar *"}},
		{"ustar", []string{"tar", "--format=ustar", "-cf", "../out.tar", "a.raw"}},
		{"v7", []string{"tar", "--format=v7", "-cf", "../out.tar", "a.raw"}},
		{"folder itself", []string{"tar", "-cf", "../out.tar", "."}},
		{"large record", []string{"tar", "-b", "2048", "-cf", "../out.tar", "a.raw"}},
		{"python pax", python("PAX_FORMAT")},
		{"python gnu", python("GNU_FORMAT")},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t)
			in := filepath.Join(dir, "in")
			if err := os.Mkdir(in, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, e := range must(os.ReadDir(dir)) {
				if !e.IsDir() {
					if err := os.Rename(filepath.Join(dir, e.Name()), filepath.Join(in, e.Name())); err != nil {
						t.Fatal(err)
					}
				}
			}
			tool(t, in, c.args...)
			members, err := open(must(os.ReadFile(filepath.Join(dir, "out.tar"))))
			if err != nil || len(members) == 0 {
				t.Fatalf("%d members, %v", len(members), err)
			}
			for _, m := range members {
				got := must(io.ReadAll(m.Section()))
				if want := must(os.ReadFile(filepath.Join(in, m.Name))); !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes, want %d", m.Name, len(got), len(want))
				}
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// entry is a header for made.
type entry struct {
	name, link string
	kind       byte
	size       int64
	pax        map[string]string
}

// made is a tar file as Go's writer makes it.
func made(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.kind, Size: e.size, Mode: 0o644, PAXRecords: e.pax}
		if e.pax != nil {
			h.Format = tar.FormatPAX
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, e.size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// resum writes the header's checksum anew after it was changed.
func resum(h []byte) []byte {
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h[:512] {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

// changed is a tar file with one member whose header is changed.
func changed(t testing.TB, change func(h []byte)) []byte {
	p := made(t, entry{name: "disk.raw", kind: '0', size: 100})
	change(p)
	resum(p)
	return p
}

// paxFile is a tar file with one member and an extended header of the given body.
func paxFile(t testing.TB, kind byte, body string) []byte {
	x := changed(t, func(h []byte) {
		h[156] = kind
		copy(h[124:], fmt.Sprintf("%011o\x00", len(body)))
	})[:512]
	x = append(x, body...)
	x = append(x, make([]byte, -len(body)&511)...)
	return append(x, made(t, entry{name: "disk.raw", kind: '0', size: 100})...)
}

// paxRecord is a record of an extended header.
func paxRecord(key, value string) string {
	s := " " + key + "=" + value + "\n"
	n := len(s) + 1
	for len(fmt.Sprint(n))+len(s) != n {
		n++
	}
	return fmt.Sprint(n) + s
}

func TestTarRefusals(t *testing.T) {
	one := entry{name: "disk.raw", kind: '0', size: 100}
	whole := made(t, one)
	name := func(s string) []byte {
		return changed(t, func(h []byte) { clear(h[:100]); copy(h, s) })
	}
	kind := func(c byte) []byte { return changed(t, func(h []byte) { h[156] = c }) }
	size := func(s string) []byte { return changed(t, func(h []byte) { copy(h[124:136], s) }) }
	for _, c := range []struct {
		name string
		p    []byte
		want errcode.Code
	}{
		{"absolute", name("/etc/passwd"), errcode.OVAPath},
		{"parent", name("../disk.raw"), errcode.OVAPath},
		{"dot dot", name(".."), errcode.OVAPath},
		{"dot", name("."), errcode.OVAPath},
		{"nothing", name(""), errcode.OVAPath},
		{"folder", name("a/disk.raw"), errcode.OVAPath},
		{"hidden parent", name("./../disk.raw"), errcode.OVAPath},
		{"backslash", name(`a\disk.raw`), errcode.OVAPath},
		{"drive", name(`c:disk.raw`), errcode.OVAPath},
		{"zero byte", name("disk\x00.raw"), errcode.OVAPath},
		{"line feed", name("disk\n.raw"), errcode.OVAPath},
		{"not UTF-8", name("disk\xff.raw"), errcode.OVAPath},
		{"combining mark", name("disk\u0301.raw"), errcode.OVAPath},
		{"right to left", name("disk\u202e.raw"), errcode.OVAPath},
		{"prefix", changed(t, func(h []byte) { copy(h[345:], "folder") }), errcode.OVAPath},
		{"hard link", kind('1'), errcode.OVALink},
		{"symbolic link", kind('2'), errcode.OVALink},
		{"character device", kind('3'), errcode.OVALink},
		{"block device", kind('4'), errcode.OVALink},
		{"other folder", kind('5'), errcode.OVALink},
		{"pipe", kind('6'), errcode.OVALink},
		{"contiguous", kind('7'), errcode.OVALink},
		{"long link", kind('K'), errcode.OVALink},
		{"GNU sparse", kind('S'), errcode.OVASparse},
		{"global header", kind('g'), errcode.OVAPax},
		{"unknown type", kind('Z'), errcode.OVANotTar},
		{"same name", made(t, one, one), errcode.OVADuplicate},
		{"other case", made(t, one, entry{name: "DISK.raw", kind: '0'}), errcode.OVADuplicate},
		{"other case, not ASCII", made(t, entry{name: "Ä", kind: '0'}, entry{name: "ä", kind: '0'}), errcode.OVADuplicate},
		{"Kelvin sign", made(t, entry{name: "K", kind: '0'}, entry{name: "\u212a", kind: '0'}), errcode.OVADuplicate},
		{"1 TiB", size("\x80\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00"), errcode.Truncated},
		{"2^63 - 1", size("\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"), errcode.Truncated},
		{"2^63", size("\x80\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00"), errcode.OVANotTar},
		{"2^64", size("\x80\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"), errcode.OVANotTar},
		{"negative", size("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), errcode.OVANotTar},
		{"size is no number", size("0000000x144\x00"), errcode.OVANotTar},
		{"checksum", append([]byte("X"), whole[1:]...), errcode.OVANotTar},
		{"no end", whole[:1024], errcode.Truncated},
		{"cut in a member", whole[:600], errcode.Truncated},
		{"cut in a header", append(bytes.Clone(whole[:1024]), 'x'), errcode.Truncated},
		{"empty", nil, errcode.Truncated},
		{"no member", make([]byte, 10240), errcode.OVANotTar},
		{"data at the end", append(bytes.Clone(whole), 'x'), errcode.TrailingData},
		{"long end", append(bytes.Clone(whole), make([]byte, 1<<20)...), errcode.TrailingData},
		{"pax sparse", paxFile(t, 'x', paxRecord("GNU.sparse.major", "1")+paxRecord("GNU.sparse.realsize", "10")), errcode.OVASparse},
		{"pax link", paxFile(t, 'x', paxRecord("linkpath", "/etc/passwd")), errcode.OVALink},
		{"pax other name", paxFile(t, 'x', paxRecord("path", "other.raw")), errcode.OVAPax},
		{"pax other size", paxFile(t, 'x', paxRecord("size", "99")), errcode.OVAPax},
		{"pax size over 8 GiB and another", paxFile(t, 'x', paxRecord("size", "9000000000")), errcode.OVAPax},
		{"pax size is no number", paxFile(t, 'x', paxRecord("size", "-1")), errcode.OVAPax},
		{"pax path twice", paxFile(t, 'x', paxRecord("path", "disk.raw")+paxRecord("path", "disk.raw")), errcode.OVAPax},
		{"pax long path out", paxFile(t, 'x', paxRecord("path", "../"+strings.Repeat("x", 100))), errcode.OVAPath},
		{"pax charset", paxFile(t, 'x', paxRecord("hdrcharset", "BINARY")), errcode.OVAPax},
		{"pax record too long", paxFile(t, 'x', "99999 path=x\n"), errcode.OVANotTar},
		{"pax record of nothing", paxFile(t, 'x', "2 path=x\n"), errcode.OVANotTar},
		{"pax record without value", paxFile(t, 'x', "7 path\n"), errcode.OVANotTar},
		{"pax one past 64 KiB", paxFile(t, 'x', paxRecord("comment", strings.Repeat("x", 64<<10-14))), errcode.OVAPax},
		{"long name out", paxFile(t, 'L', "../../etc/passwd\x00"), errcode.OVAPath},
		{"two long names", append(paxFile(t, 'L', "a\x00")[:1024], paxFile(t, 'L', "b\x00")...), errcode.OVANotTar},
		{"extended header of nothing", append(paxFile(t, 'L', "a\x00")[:1024], make([]byte, 1024)...), errcode.OVANotTar},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := open(c.p)
			wantCode(t, err, c.want)
		})
	}
}

func TestTarThatIsRight(t *testing.T) {
	for name, p := range map[string][]byte{
		"pax times":      paxFile(t, 'x', paxRecord("mtime", "1.5")+paxRecord("SCHILY.dev", "1")+paxRecord("uname", "a\nb")),
		"pax same size":  paxFile(t, 'x', paxRecord("size", "100")+paxRecord("path", "disk.raw")),
		"pax 64 KiB":     paxFile(t, 'x', paxRecord("comment", strings.Repeat("x", 64<<10-15))),
		"oldest types":   changed(t, func(h []byte) { h[156] = 0 }),
		"GNU long name":  paxFile(t, 'L', strings.Repeat("x", 255)+"\x00"),
		"longest end":    append(made(t, entry{name: "a", kind: '0'})[:512], make([]byte, 1<<20)...),
		"one zero block": append(made(t, entry{name: "a", kind: '0'})[:512], make([]byte, 512)...),
	} {
		if m, err := open(p); err != nil || len(m) != 1 {
			t.Errorf("%s: %d members, %v", name, len(m), err)
		}
	}
}

func TestTarLimits(t *testing.T) {
	for n, want := range map[int]errcode.Code{256: "", 257: errcode.OVATooManyMembers} {
		var all []entry
		for i := range n {
			all = append(all, entry{name: fmt.Sprint("disk", i), kind: '0'})
		}
		m, err := open(made(t, all...))
		if want != "" {
			wantCode(t, err, want)
		} else if err != nil || len(m) != n {
			t.Errorf("%d members: %d, %v", n, len(m), err)
		}
	}
	_, err := open(paxFile(t, 'L', strings.Repeat("x", 256)+"\x00"))
	wantCode(t, err, errcode.OVAPath)
}

// FuzzTar holds that members lie within the file, apart from each other, with names
// that are safe, whatever the file says.
func FuzzTar(f *testing.F) {
	formattest.Seeds(f)
	f.Add(made(f, entry{name: "disk.raw", kind: '0', size: 100}, entry{name: "b", kind: '0', size: 600}))
	f.Add(paxFile(f, 'x', paxRecord("size", "100")+paxRecord("path", "disk.raw")))
	f.Add(paxFile(f, 'L', "disk.vmdk\x00"))
	f.Add(changed(f, func(h []byte) { copy(h[124:], "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff") }))
	f.Fuzz(func(t *testing.T, p []byte) {
		for i := 0; i+512 <= len(p) && i < 8<<10; i += 512 {
			if p[i] != 0 && p[i+257] == 'u' {
				resum(p[i : i+512])
			}
		}
		members, err := open(p)
		if err != nil {
			if errcode.Of(err) == errcode.Internal {
				t.Fatal(err)
			}
			return
		}
		end, names := int64(0), map[string]bool{}
		for _, m := range members {
			if m.Off < end+512 || m.Size < 0 || m.Off+m.Size > int64(len(p)) {
				t.Fatalf("member %q at %d with %d bytes, behind %d of %d", m.Name, m.Off, m.Size, end, len(p))
			}
			end = m.Off + m.Size
			if key := strings.ToLower(m.Name); names[key] || strings.ContainsAny(m.Name, "/\\\x00") || m.Name == ".." {
				t.Fatalf("name %q", m.Name)
			} else {
				names[key] = true
			}
		}
	})
}
