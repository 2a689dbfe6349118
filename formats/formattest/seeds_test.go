package formattest

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../../"

// TestEveryParserHasSeeds holds the fuzz targets of detection, of all formats, of
// the outer layers, of the guest and of the compressors against the archives: those that open images
// or take off a layer load one, each that
// loads one has it, and all that is in them can be decoded.
func TestEveryParserHasSeeds(t *testing.T) {
	target := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\) \{\n(.*)$`)
	want := map[string]bool{}
	for _, dir := range []string{"formats", "detect", "unwrap", "guest", "internal/deflate", "internal/zstandard"} {
		walk(t, dir, "_test.go", func(path string, b []byte) {
			for _, m := range target.FindAllSubmatch(b, -1) {
				name, first := string(m[1]), strings.TrimSpace(string(m[2]))
				if first == "formattest.Seeds(f)" {
					want[filepath.Join(SeedsDir, filepath.Dir(path), name+".tar.zst")] = true
				} else if strings.HasPrefix(name, "FuzzOpen") || name == "FuzzDetect" || dir == "unwrap" {
					t.Errorf("%s: %s begins with %q and not with formattest.Seeds(f)", path, name, first)
				}
			}
		})
	}
	if len(want) < 8 {
		t.Fatalf("only %d targets load seeds", len(want))
	}
	walk(t, SeedsDir, "", func(path string, b []byte) {
		if !want[path] {
			t.Errorf("%s is of no target", path)
		}
		delete(want, path)
		if len(b) > MaxSeeds {
			t.Errorf("%s has %d bytes, at most %d are allowed", path, len(b), MaxSeeds)
		}
		inputs, err := UnpackSeeds(b)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		for i, in := range inputs {
			if _, err := SeedArgs(in); err != nil {
				t.Errorf("%s: entry %d: %v", path, i, err)
			}
		}
	})
	for path := range want {
		t.Errorf("%s is missing; make it with: scripts/fuzz --keep", path)
	}
}

// walk calls f for each file below dir, whose path counts from the module's
// root, with its content.
func walk(t *testing.T, dir, suffix string, f func(path string, b []byte)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root), dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		b, err := os.ReadFile(root + path)
		f(path, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func input(lines ...string) []byte {
	return []byte(seedHead + "\n" + strings.Join(lines, "\n") + "\n")
}

func TestSeedArchiveIsOfTheSet(t *testing.T) {
	long, a, b := input(`[]byte("long")`), input(`byte('a')`), input(`byte('b')`)
	packed, err := PackSeeds([][]byte{long, b, a, b})
	if err != nil {
		t.Fatal(err)
	}
	got, err := UnpackSeeds(packed)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([][]byte{a, b, long}, got); d != "" {
		t.Error(d)
	}
	again, err := PackSeeds([][]byte{a, b, long})
	if err != nil || !bytes.Equal(again, packed) {
		t.Errorf("the same set in another order has other bytes, %v", err)
	}
}

func TestBadSeedArchives(t *testing.T) {
	none, err := PackSeeds(nil)
	if err != nil {
		t.Fatal(err)
	}
	some, err := PackSeeds([][]byte{input(`string("x")`), input(`string("y")`)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		archive []byte
	}{
		{"no bytes", nil},
		{"no entries", none},
		{"no archive", []byte("PK\x03\x04")},
		{"cut", some[:len(some)/2]},
	} {
		if got, err := UnpackSeeds(c.archive); err == nil {
			t.Errorf("%s: %d inputs and no error", c.name, len(got))
		}
	}
}

func TestSeedArgs(t *testing.T) {
	got, err := SeedArgs(input(`[]byte("a\x00\"\xff")`, `string("ü(\n)")`, `byte('\xff')`, `byte('\'')`, `uint32(4294967295)`, `uint64(18446744073709551615)`))
	if err != nil {
		t.Fatal(err)
	}
	want := []any{[]byte("a\x00\"\xff"), "ü(\n)", byte(0xff), byte('\''), uint32(1<<32 - 1), uint64(1<<64 - 1)}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, bad := range [][]byte{
		nil, []byte(seedHead), []byte(seedHead + "\n"), []byte("go test fuzz v2\nbyte('a')\n"), input(""),
		input("byte"), input("byte()"), input("byte('a'"), input("byte('ab')"), input(`byte('\u0100')`), input("byte(97)"),
		input("uint32(4294967296)"), input("uint32(-1)"), input("uint64(x)"), input(`[]byte("a)`), input(`string(a)`), input("float64(1)"),
	} {
		if got, err := SeedArgs(bad); err == nil {
			t.Errorf("%q: %v and no error", bad, got)
		}
	}
}
