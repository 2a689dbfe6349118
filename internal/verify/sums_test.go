package verify_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/internal/errcode"
	"ingest/internal/verify"
)

var (
	a64  = strings.Repeat("a", 64)
	b64  = strings.Repeat("b", 64)
	c128 = strings.Repeat("c", 128)
	d32  = strings.Repeat("d", 32)
	e40  = strings.Repeat("e", 40)
)

func TestSums(t *testing.T) {
	for _, c := range []struct {
		name, file string
		md5        bool
		names      []string
		want       string // digests, or the code
	}{
		{"text", a64 + "  disk.img\n", false, nil, "sha256:" + a64},
		{"binary", a64 + " *disk.img\n", false, nil, "sha256:" + a64},
		{"one blank", a64 + " disk.img", false, nil, "sha256:" + a64},
		{"tab", a64 + "\tdisk.img", false, nil, "sha256:" + a64},
		{"capitals and CRLF", strings.ToUpper(a64) + "  disk.img\r\n", false, nil, "sha256:" + a64},
		{"bsd", "SHA256 (disk.img) = " + a64 + "\n", false, nil, "sha256:" + a64},
		{"openssl", "SHA512(disk.img)= " + c128 + "\n", false, nil, "sha512:" + c128},
		{"bsd with a dash", "SHA-256 (disk.img) = " + a64, false, nil, "sha256:" + a64},
		{"fedora", "# disk.img: 123 bytes\nSHA256 (other.img) = " + b64 + "\nSHA256 (disk.img) = " + a64 + "\n", false, nil, "sha256:" + a64},
		{"brackets in a name", "SHA256 (disk (1).img) = " + a64, false, []string{"disk (1).img"}, "sha256:" + a64},
		{"here", a64 + "  ./disk.img", false, nil, "sha256:" + a64},
		{"escaped", `\` + a64 + `  a\\b\nc`, false, []string{"a\\b\nc"}, "sha256:" + a64},
		{"escaped bsd", `\SHA256 (a\\b) = ` + a64, false, []string{`a\b`}, "sha256:" + a64},
		{"not escaped", a64 + `  a\nb`, false, []string{`a\nb`}, "sha256:" + a64},
		{"bad escape", `\` + a64 + `  disk\x.img` + "\n" + b64 + "  other", false, []string{`disk\x.img`}, "IMG_CHECKSUM_ENTRY_MISSING"},
		{"two algorithms", a64 + "  disk.img\n" + c128 + "  disk.img\n", false, nil, "sha256:" + a64 + " sha512:" + c128},
		{"the same twice", a64 + "  disk.img\nSHA256 (disk.img) = " + a64, false, nil, "sha256:" + a64},
		{"two digests", a64 + "  disk.img\n" + b64 + "  disk.img\n", false, nil, "IMG_CHECKSUM_ENTRIES_DIFFER"},
		{"two digests by another name", a64 + "  disk.img\n" + b64 + " *./disk.img\n", false, nil, "IMG_CHECKSUM_ENTRIES_DIFFER"},
		{"another name", a64 + "  other.img\n", false, nil, "IMG_CHECKSUM_ENTRY_MISSING"},
		{"longer name", a64 + "  disk.img.xz\n", false, nil, "IMG_CHECKSUM_ENTRY_MISSING"},
		{"shorter name", a64 + "  isk.img\n", false, nil, "IMG_CHECKSUM_ENTRY_MISSING"},
		{"in a folder", a64 + "  old/disk.img\n", false, nil, "IMG_CHECKSUM_ENTRY_MISSING"},
		{"in its folder", b64 + "  disk.img\n" + a64 + "  new/disk.img\n", false, []string{"new/disk.img", "disk.img"}, "sha256:" + a64},
		{"a blank more", a64 + "   disk.img\n", false, nil, "IMG_CHECKSUM_ENTRY_MISSING"},
		{"another case", a64 + "  Disk.img\n", false, nil, "IMG_CHECKSUM_ENTRY_MISSING"},
		{"no name asked", a64 + "  \n" + a64 + "  x", false, []string{""}, "IMG_CHECKSUM_ENTRY_MISSING"},
		{"md5", d32 + "  disk.img", false, nil, "IMG_CHECKSUM_ALGORITHM"},
		{"md5 admitted", d32 + "  disk.img", true, nil, "md5:" + d32},
		{"md5 and better", d32 + "  disk.img\n" + a64 + "  disk.img", true, nil, "sha256:" + a64},
		{"sha1", e40 + "  disk.img", true, nil, "IMG_CHECKSUM_ALGORITHM"},
		{"sha1 and better", "SHA1 (disk.img) = " + e40 + "\nSHA256 (disk.img) = " + a64, false, nil, "sha256:" + a64},
		{"unknown algorithm", "BLAKE2b (disk.img) = " + c128, false, nil, "IMG_CHECKSUM_ALGORITHM"},
		{"wrong length", "SHA256 (disk.img) = " + c128 + "\n" + a64 + "  x", false, nil, "IMG_CHECKSUM_ENTRY_MISSING"},
		{"alone", a64 + "\n", false, nil, "IMG_CHECKSUM_ENTRY_MISSING"},
		{"html", "<html><body>Not found</body></html>", false, nil, "IMG_CHECKSUM_FILE_INVALID"},
		{"empty", "", false, nil, "IMG_CHECKSUM_FILE_INVALID"},
		{"too large", a64 + "  disk.img\n" + strings.Repeat("#\n", verify.MaxSumsBytes/2), false, nil, "IMG_CHECKSUM_FILE_INVALID"},
		{"as large as it may be", a64 + "  disk.img\n" + strings.Repeat("\n", verify.MaxSumsBytes-75), false, nil, "sha256:" + a64},
		{"line too long", a64 + "  disk.img\n" + strings.Repeat("x", verify.MaxLineBytes+1), false, nil, "IMG_CHECKSUM_FILE_INVALID"},
		{"line as long as it may be", a64 + "  disk.img\n" + strings.Repeat("x", verify.MaxLineBytes), false, nil, "sha256:" + a64},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.names == nil {
				c.names = []string{"disk.img"}
			}
			var got []string
			sums, err := verify.ParseSums([]byte(c.file))
			if err == nil {
				var ds []verify.Digest
				ds, err = sums.Lookup(c.md5, c.names...)
				for _, d := range ds {
					got = append(got, d.String())
				}
			}
			if err != nil {
				got = []string{string(errcode.Of(err))}
				if e, ok := errcode.As(err); !ok || e.Evidence == nil {
					t.Errorf("%v has no evidence", err)
				}
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got %s, want %s", s, c.want)
			}
		})
	}
	alone, err := verify.ParseSums([]byte(a64 + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if ds, err := alone.Alone("disk.img").Lookup(false, "disk.img"); err != nil || ds[0].Hex != a64 {
		t.Errorf("alone: %v, %v", ds, err)
	}
}

// TestSumsOfCoreutils reads what the real programs write of files with awkward
// names, and has them check the same files.
func TestSumsOfCoreutils(t *testing.T) {
	dir := t.TempDir()
	names := []string{"disk.img", "with blank", " before", "*star", `back\slash`, "new\nline", "re\rturn", "(brackets) = x", "ünï"}
	for _, n := range names {
		if err := os.WriteFile(filepath.Join(dir, n), []byte("bytes of "+n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) []byte {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return out
	}
	for _, c := range []struct {
		program, algo string
		flag          string
	}{
		{"sha256sum", "sha256", "--text"}, {"sha256sum", "sha256", "--binary"}, {"sha256sum", "sha256", "--tag"},
		{"sha512sum", "sha512", "--text"}, {"sha512sum", "sha512", "--tag"}, {"md5sum", "md5", "--tag"},
	} {
		t.Run(c.program+c.flag, func(t *testing.T) {
			out := run(c.program, append([]string{c.flag, "--"}, names...)...)
			if err := os.WriteFile(filepath.Join(dir, "SUMS"), out, 0o600); err != nil {
				t.Fatal(err)
			}
			run(c.program, "-c", "--strict", "SUMS")
			sums, err := verify.ParseSums(out)
			if err != nil || len(sums) != len(names) {
				t.Fatalf("%d of %d entries, %v", len(sums), len(names), err)
			}
			for _, n := range names {
				h := verify.NewHash(c.algo)
				h.Write([]byte("bytes of " + n))
				want := []verify.Digest{{Algo: c.algo, Hex: hexOf(h.Sum(nil))}}
				got, err := sums.Lookup(true, n)
				if err != nil {
					t.Error(err)
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%q: %s", n, d)
				}
			}
		})
	}
}

func TestParseDigest(t *testing.T) {
	for _, c := range []struct {
		s    string
		md5  bool
		want string
	}{
		{"sha256:" + a64, false, "sha256:" + a64},
		{" SHA512:" + strings.ToUpper(c128), false, "sha512:" + c128},
		{"md5:" + d32, true, "md5:" + d32},
		{"md5:" + d32, false, "IMG_CHECKSUM_ALGORITHM"},
		{"sha1:" + e40, true, "IMG_CHECKSUM_ALGORITHM"},
		{"sha256:" + c128, false, "IMG_CHECKSUM_INVALID"},
		{"sha256:" + a64[1:] + "g", false, "IMG_CHECKSUM_INVALID"},
		{a64, false, "IMG_CHECKSUM_INVALID"},
		{"crc32:aaaaaaaa", false, "IMG_CHECKSUM_INVALID"},
		{"", false, "IMG_CHECKSUM_INVALID"},
	} {
		d, err := verify.ParseDigest(c.s, c.md5)
		got := d.String()
		if err != nil {
			got = string(errcode.Of(err))
		}
		if got != c.want {
			t.Errorf("%q with MD5 %v: got %s, want %s", c.s, c.md5, got, c.want)
		}
	}
}
