package unwrap

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ingest/internal/errcode"
)

// run pipes in through a real tool, which has to be there unless the tests with
// outside programs are skipped.
func run(t testing.TB, in []byte, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		if os.Getenv("INGEST_SKIP_QEMU") != "" {
			t.Skip(err)
		}
		t.Fatalf("%v; scripts/setup installs it", err)
	}
	cmd := exec.Command(args[0], args[1:]...)
	var out, diag bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &diag
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, diag.Bytes())
	}
	return out.Bytes()
}

// content is data that compresses a little, with holes, of n bytes.
func content(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	p := make([]byte, n)
	for off := 0; off < n; off += 16 << 10 {
		q := p[off:min(n, off+16<<10)]
		switch r.IntN(4) {
		case 0: // a hole
		case 1:
			for i := range q {
				q[i] = byte(r.Uint32())
			}
		default:
			for i := range q {
				q[i] = "a disk's bytes\n"[r.IntN(15)]
			}
		}
	}
	return p
}

// unwrapped takes the layer that the head shows off.
func unwrapped(t testing.TB, p []byte, lim Limits) ([]byte, error) {
	t.Helper()
	layer, ok := Match(p)
	if !ok {
		t.Fatalf("no layer in %x", p[:min(len(p), 10)])
	}
	z, err := Open(bytes.NewReader(p), layer, lim)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// wantCode fails unless err has the code and, as a refusal, evidence.
func wantCode(t testing.TB, err error, code errcode.Code) {
	t.Helper()
	e, ok := errcode.As(err)
	if errcode.Of(err) != code || ok && e.Evidence == nil {
		t.Errorf("got %v, want %s with evidence", err, code)
	}
}

func TestToolsOutputIsUnwrapped(t *testing.T) {
	small, large := content(100<<10), content(3<<20)
	for _, c := range []struct {
		name string
		in   []byte
		args []string
	}{
		{"gzip", large, []string{"gzip", "-c"}},
		{"gzip -1", small, []string{"gzip", "-1", "-c"}},
		{"gzip empty", nil, []string{"gzip", "-c"}},
		{"xz", large, []string{"xz", "-c"}},
		{"xz empty", nil, []string{"xz", "-c"}},
		{"xz -0 no check", small, []string{"xz", "-0", "-c", "--check=none"}},
		{"xz crc32", small, []string{"xz", "-c", "--check=crc32"}},
		{"xz sha256", small, []string{"xz", "-c", "--check=sha256"}},
		{"xz -9e", small, []string{"xz", "-9e", "-c"}},
		{"xz -T, blocks", large, []string{"xz", "-T2", "-c", "--block-size=1MiB"}},
		{"xz blocks", large, []string{"xz", "-T1", "-c", "--block-size=300KiB"}},
		{"zstd", large, []string{"zstd", "-c"}},
		{"zstd empty", nil, []string{"zstd", "-c"}},
		{"zstd no check", small, []string{"zstd", "--no-check", "-19", "-c"}},
		{"zstd long", large, []string{"zstd", "--long=27", "-c"}},
		{"zstd ultra", small, []string{"zstd", "--ultra", "-22", "-c"}},
		{"zstd threads", large, []string{"zstd", "-T2", "-c"}},
		{"pzstd", large, []string{"pzstd", "-p", "2", "-c"}},
		{"bzip2", large, []string{"bzip2", "-c"}},
		{"bzip2 -1", small, []string{"bzip2", "-1", "-c"}},
		{"bzip2 empty", nil, []string{"bzip2", "-c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			packed := run(t, c.in, c.args...)
			got, err := unwrapped(t, packed, DefaultLimits())
			if err != nil || !bytes.Equal(got, c.in) {
				t.Fatalf("%d bytes, %v; want %d", len(got), err, len(c.in))
			}
			if c.in == nil {
				return
			}
			// As `cat a b` makes it, and filled up with zeros as tapes and
			// block devices are.
			twice := append(append(bytes.Clone(packed), packed...), make([]byte, 100<<10)...)
			got, err = unwrapped(t, twice, DefaultLimits())
			if err != nil || !bytes.Equal(got, append(bytes.Clone(c.in), c.in...)) {
				t.Fatalf("twice: %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestOptionalParallelTools(t *testing.T) {
	in := content(3 << 20)
	for _, tool := range []string{"pigz", "pbzip2"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Logf("%s is not installed", tool)
			continue
		}
		if got, err := unwrapped(t, run(t, in, tool, "-c"), DefaultLimits()); err != nil || !bytes.Equal(got, in) {
			t.Errorf("%s: %d bytes, %v", tool, len(got), err)
		}
	}
}

func TestMemoryOfDecodersAtTheLimitAndPast(t *testing.T) {
	in := content(64 << 10)
	dict := func(size string) []string {
		return []string{"xz", "-c", "--format=xz", "--lzma2=preset=0,dict=" + size}
	}
	for _, c := range []struct {
		name string
		args []string
		want errcode.Code
	}{
		{"xz 64 MiB", dict("64MiB"), ""},
		{"xz one past", dict("96MiB"), errcode.DecompressorMemory},
		{"xz 1.5 GiB", dict("1536MiB"), errcode.DecompressorMemory},
		{"zstd --long=27", []string{"zstd", "-c", "--long=27"}, ""},
		{"zstd --long=28", []string{"zstd", "-c", "--long=28"}, errcode.DecompressorMemory},
		{"zstd --long=31", []string{"zstd", "-c", "--long=31"}, errcode.DecompressorMemory},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := unwrapped(t, run(t, in, c.args...), DefaultLimits())
			if c.want != "" {
				wantCode(t, err, c.want)
			} else if err != nil || !bytes.Equal(got, in) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
		})
	}
}

func TestWhatIsNotTakenOff(t *testing.T) {
	in := content(64 << 10)
	dir := t.TempDir()
	dictionary := filepath.Join(dir, "dictionary")
	if err := os.WriteFile(dictionary, in[16<<10:], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want errcode.Code
	}{
		{"xz with the filter for x86", []string{"xz", "-c", "--x86", "--lzma2"}, errcode.CompressionMethod},
		// Without an ID in the frame, what is missing shows only in the data.
		{"zstd with a dictionary", []string{"zstd", "-c", "-D", dictionary}, errcode.CompressionCorrupt},
		{"xz with delta", []string{"xz", "-c", "--delta=dist=4", "--lzma2"}, errcode.CompressionMethod},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := unwrapped(t, run(t, in, c.args...), DefaultLimits())
			wantCode(t, err, c.want)
		})
	}
	if _, err := Open(bytes.NewReader(in), "lz4", DefaultLimits()); errcode.Of(err) != errcode.FormatNotAllowed {
		t.Errorf("lz4: %v", err)
	}
	// A frame that names dictionary 7 (RFC 8878, 3.1.1.1.3).
	frame := []byte(magicZstd + "\x01\x00\x07\x01\x00\x00")
	_, err := Open(bytes.NewReader(frame), Zstd, DefaultLimits())
	wantCode(t, err, errcode.CompressionMethod)
}

func TestCompressionInCompressionIsRefused(t *testing.T) {
	tools := [][]string{{"gzip", "-c"}, {"xz", "-c"}, {"zstd", "-c"}, {"bzip2", "-c"}}
	for _, inner := range tools {
		for _, outer := range tools {
			p := run(t, run(t, []byte("a disk"), inner...), outer...)
			layer, _ := Match(p)
			_, err := Open(bytes.NewReader(p), layer, DefaultLimits())
			wantCode(t, err, errcode.CompressionNested)
			if e, ok := errcode.As(err); ok && e.Evidence.Value != inner[0] {
				t.Errorf("%s in %s: evidence %q", inner[0], outer[0], e.Evidence.Value)
			}
		}
	}
}

// samples are one small file of each layer, with two members, frames, streams.
func samples(t testing.TB) map[Layer][]byte {
	t.Helper()
	out := map[Layer][]byte{}
	in := content(96 << 10)[60<<10 : 70<<10]
	for layer, args := range map[Layer][]string{
		Gzip: {"gzip", "-c"}, XZ: {"xz", "-c", "--block-size=8KiB", "--lzma2=preset=0,dict=64KiB"}, Zstd: {"zstd", "-c"}, Bzip2: {"bzip2", "-1", "-c"},
	} {
		p := run(t, in, args...)
		out[layer] = append(bytes.Clone(p), p...)
	}
	return out
}

func TestTrailingDataIsRefused(t *testing.T) {
	for layer, p := range samples(t) {
		for name, tail := range map[string][]byte{
			"text":            []byte("hello, world"),
			"behind zeros":    append(make([]byte, 70<<10), 'x'),
			"another layer":   []byte("\x04\x22\x4d\x18abcdefgh"),
			"boot sector":     append(make([]byte, 510), 0x55, 0xaa),
			"begin of itself": p[:2],
		} {
			want := errcode.TrailingData
			if layer == Bzip2 && name == "begin of itself" {
				want = errcode.Truncated // the decoder takes it for another stream
			}
			_, err := unwrapped(t, append(bytes.Clone(p), tail...), DefaultLimits())
			if errcode.Of(err) != want {
				t.Errorf("%s, %s: %v, want %s", layer, name, err, want)
			}
		}
	}
}

func TestCutAnywhereIsNeverWhole(t *testing.T) {
	for layer, p := range samples(t) {
		whole, err := unwrapped(t, p, DefaultLimits())
		if err != nil {
			t.Fatal(layer, err)
		}
		step := 1 + len(p)/200
		for n := 10; n < len(p); n += step {
			got, err := unwrapped(t, p[:n], DefaultLimits())
			if n == len(p)/2 && err == nil {
				continue // exactly the first of two
			}
			if c := errcode.Of(err); err == nil || c != errcode.Truncated && c != errcode.TrailingData && c != errcode.CompressionCorrupt {
				t.Fatalf("%s cut at %d of %d: %d bytes, %v", layer, n, len(p), len(got), err)
			}
			if !bytes.HasPrefix(whole, got) {
				t.Fatalf("%s cut at %d: other bytes came out", layer, n)
			}
		}
	}
}

func TestChangedAnywhereIsNeverSomethingElse(t *testing.T) {
	for layer, p := range samples(t) {
		whole, err := unwrapped(t, p, DefaultLimits())
		if err != nil {
			t.Fatal(layer, err)
		}
		refused := 0
		for i := 10; i < len(p); i += 1 + len(p)/200 {
			q := bytes.Clone(p)
			q[i] ^= 1 << (i % 8)
			got, err := unwrapped(t, q, DefaultLimits())
			if err == nil && !bytes.Equal(got, whole) {
				t.Fatalf("%s with bit %d of byte %d changed: other bytes came out", layer, i%8, i)
			}
			if err != nil {
				refused++
				if c := errcode.Of(err); !strings.HasPrefix(string(c), "IMG_") || c == errcode.ParserCrash {
					t.Fatalf("%s with byte %d changed: %v", layer, i, err)
				}
			}
		}
		if refused == 0 {
			t.Errorf("%s: no change was refused", layer)
		}
	}
}

// faulty fails after n bytes.
type faulty struct {
	r   io.Reader
	err error
}

func (f *faulty) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err == io.EOF {
		err = f.err
	}
	return n, err
}

func TestErrorsOfTheSourceComeThrough(t *testing.T) {
	slow := errcode.New(errcode.SourceTooSlow, "slow")
	for layer, p := range samples(t) {
		for _, n := range []int{3, len(p) / 3, len(p)} {
			z, err := Open(&faulty{bytes.NewReader(p[:n]), slow}, layer, DefaultLimits())
			if err == nil {
				_, err = io.Copy(io.Discard, z)
			}
			if !errors.Is(err, slow) {
				t.Errorf("%s, source fails at %d of %d: %v", layer, n, len(p), err)
			}
		}
	}
}
