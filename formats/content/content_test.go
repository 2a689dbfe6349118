package content

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const document = "../../docs/content-digest.md"

// A vector is a disk of zeros whose bytes from off on are fill.
type vector struct {
	name   string // as in the document's table
	size   int64
	off    int64
	fill   byte
	digest string
}

// vectors returns the test vectors. Their digests were computed by the Python
// program, not by this package.
func vectors() []vector {
	return []vector{
		{"no bytes", 0, 0, 0, "2dda9347303c57dec1ba640a9726387ec14b157ac0d15bbe00e1765b8cc0d780"},
		{"the byte `0x01`", 1, 0, 1, "0e093ddd67a74da9642a12a9dae7c644becef3c89d24f3d296d820eba5883a58"},
		{"2 MiB of zeros", 2 << 20, 2 << 20, 0, "9593c537a217125ef31a26457c118c17547037b6b5e2287a412d2c833be0fef6"},
		{"2 MiB and 512 bytes of `0xff`", 2<<20 + 512, 0, 0xff, "c739dd344bd87faeceb99d442483240fe74432461ed2afcf44b15429c07ae0f4"},
		{"1 GiB of zeros whose last byte is `0x01`", 1 << 30, 1<<30 - 1, 1, "b3e252c43e461d6766e5cecb9917380c00e5b1bd5c1ba98d8ced14ff53a48e94"},
	}
}

func (v vector) text() string { return Name + ":" + v.digest }

// block returns the disk's block at off.
func (v vector) block(off int64) []byte {
	b := make([]byte, min(BlockBytes, v.size-off))
	for i := max(0, v.off-off); i < int64(len(b)); i++ {
		b[i] = v.fill
	}
	return b
}

func sum(t *testing.T, h *Hasher) string {
	t.Helper()
	s, err := h.Sum()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestVectors(t *testing.T) {
	for _, v := range vectors() {
		t.Run(v.name, func(t *testing.T) {
			h := New(v.size)
			for off := int64(0); off < v.size; off += BlockBytes {
				if h.Off() != off {
					t.Fatalf("Off = %d, want %d", h.Off(), off)
				}
				h.Add(LeafOf(v.block(off)))
			}
			if got := sum(t, h); got != v.text() || !Valid(got) {
				t.Errorf("got %s (valid: %v), want %s", got, Valid(got), v.text())
			}
		})
	}
}

func TestAddZerosIsZeroLeaves(t *testing.T) {
	for _, size := range []int64{1, BlockBytes - 1, BlockBytes, BlockBytes + 1, 63 * BlockBytes, 64 * BlockBytes, 65*BlockBytes + 512, 1000 * BlockBytes} {
		one, all, parts := New(size), New(size), New(size)
		for off := int64(0); off < size; off += BlockBytes {
			one.Add(LeafOf(make([]byte, min(BlockBytes, size-off))))
		}
		all.AddZeros(size)
		for off := int64(0); off < size; {
			n := min(3*BlockBytes, size-off)
			parts.AddZeros(n)
			off += n
		}
		want := sum(t, one)
		if got := sum(t, all); got != want {
			t.Errorf("%d bytes: AddZeros of the whole gives %s, leaves give %s", size, got, want)
		}
		if got := sum(t, parts); got != want {
			t.Errorf("%d bytes: AddZeros in parts gives %s, leaves give %s", size, got, want)
		}
	}
}

func TestResumeAtEveryBlock(t *testing.T) {
	const blocks = 9
	size := int64(blocks*BlockBytes - 100)
	leaf := func(i int64) Leaf {
		return LeafOf(bytes.Repeat([]byte{byte(i % 3)}, int(min(BlockBytes, size-i*BlockBytes))))
	}
	straight := New(size)
	for i := range int64(blocks) {
		straight.Add(leaf(i))
	}
	want := sum(t, straight)
	for cut := range int64(blocks + 1) {
		first := New(size)
		for i := range cut {
			first.Add(leaf(i))
		}
		state, err := first.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		second := New(0)
		if err := second.UnmarshalBinary(state); err != nil {
			t.Fatalf("cut at block %d: %v", cut, err)
		}
		if second.Off() != first.Off() || second.Size() != size {
			t.Fatalf("cut at block %d: resumed at %d of %d, want %d of %d", cut, second.Off(), second.Size(), first.Off(), size)
		}
		for i := cut; i < blocks; i++ {
			second.Add(leaf(i))
		}
		if got := sum(t, second); got != want {
			t.Errorf("cut at block %d: got %s, want %s", cut, got, want)
		}
	}
}

func TestSumNeedsEveryBlock(t *testing.T) {
	h := New(3 * BlockBytes)
	h.AddZeros(2 * BlockBytes)
	if s, err := h.Sum(); err == nil {
		t.Errorf("two of three blocks give %s", s)
	}
	h.AddZeros(BlockBytes)
	sum(t, h)
}

func TestGarbageStateIsRefused(t *testing.T) {
	h := New(5 * BlockBytes)
	h.AddZeros(2 * BlockBytes)
	good, err := h.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	edit := func(f func(p []byte)) []byte {
		p := bytes.Clone(good)
		f(p)
		return p
	}
	for _, c := range []struct {
		name  string
		state []byte
	}{
		{"nothing", nil},
		{"15 bytes", good[:15]},
		{"no hash state", good[:16]},
		{"cut hash state", good[:len(good)-1]},
		{"all ones", bytes.Repeat([]byte{0xff}, len(good))},
		{"another hash's magic", edit(func(p []byte) { p[16] ^= 1 })},
		{"negative size", edit(func(p []byte) { p[7] = 0x80 })},
		{"negative offset", edit(func(p []byte) { p[15] = 0x80 })},
		{"offset behind the end", edit(func(p []byte) { binary.LittleEndian.PutUint64(p[8:], 5*BlockBytes+1) })},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := New(0).UnmarshalBinary(c.state); !errors.Is(err, ErrState) {
				t.Errorf("got %v, want %v", err, ErrState)
			}
		})
	}
}

func TestValid(t *testing.T) {
	good := vectors()[1].text()
	for s, want := range map[string]bool{
		good:                                       true,
		"":                                         false,
		good[:len(good)-1]:                         false,
		good + "0":                                 false,
		Name + ":" + strings.Repeat("g", 64):       false,
		Name + ":" + strings.Repeat("A", 64):       false,
		"ingest-content-v2" + good[len(Name):]:     false,
		strings.TrimPrefix(good, Name+":"):         false,
		Name + "::" + strings.Repeat("a", 63):      false,
		Name + ":" + strings.Repeat("a", 64):       true,
		" " + Name + ":" + strings.Repeat("a", 64): false,
	} {
		if got := Valid(s); got != want {
			t.Errorf("Valid(%q) = %v, want %v", s, got, want)
		}
	}
}

func TestDocumentTableIsTheCode(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| disk | virtual size | content digest |\n|---|---|---|\n")
	if !ok {
		t.Fatal("the document has no table of test vectors")
	}
	var want strings.Builder
	for _, v := range vectors() {
		fmt.Fprintf(&want, "| %s | %d | `%s` |\n", v.name, v.size, v.text())
	}
	if diff := cmp.Diff(want.String(), table); diff != "" {
		t.Errorf("%s (-code +document):\n%s", document, diff)
	}
	if !strings.Contains(string(text), fmt.Sprintf("(%d bytes)", BlockBytes)) {
		t.Errorf("%s does not state the block size %d", document, BlockBytes)
	}
}

func TestDocumentProgramIsTheCode(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: python3 is not installed, so the program in docs/content-digest.md was NOT run")
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```python\n(.*?)```").FindSubmatch(text)
	if m == nil {
		t.Fatal("the document has no Python program")
	}
	run := func(t *testing.T, args ...string) (string, error) {
		t.Helper()
		out, err := exec.Command(python, append([]string{"-I", "-c", string(m[1])}, args...)...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	for _, v := range vectors() {
		t.Run(v.name, func(t *testing.T) {
			path := writeVector(t, v)
			if got, err := run(t, path); err != nil || got != v.text() {
				t.Errorf("got %s (%v), want %s", got, err, v.text())
			}
			if v.size > 1<<24 {
				return
			}
			if err := os.Truncate(path, v.size+4<<20); err != nil {
				t.Fatal(err)
			}
			if got, err := run(t, path, fmt.Sprint(v.size)); err != nil || got != v.text() {
				t.Errorf("padded with zeros: got %s (%v), want %s", got, err, v.text())
			}
		})
	}
	t.Run("refusals", func(t *testing.T) {
		path := writeVector(t, vector{size: 4 << 20, off: 4<<20 - 1, fill: 1})
		if got, err := run(t, path, fmt.Sprint(3<<20)); err == nil {
			t.Errorf("data behind the disk is accepted: %s", got)
		}
		if got, err := run(t, path, fmt.Sprint(5<<20)); err == nil {
			t.Errorf("a short file is accepted: %s", got)
		}
	})
}

// writeVector writes the vector's disk as a sparse file.
func writeVector(t *testing.T, v vector) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(v.size); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{v.fill}, int(v.size-v.off)), v.off); err != nil {
		t.Fatal(err)
	}
	return path
}
