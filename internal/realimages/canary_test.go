package realimages

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ingest/internal/imgtest"
)

// TestNoImageNamesAFileToOpen runs the program on images that name a readable
// file of the host. It neither tries to open that file nor reaches for a
// network, and nothing of the file's content is in what it writes.
func TestNoImageNamesAFileToOpen(t *testing.T) {
	imgtest.NeedQemu(t)
	bin := build(t)
	dir := t.TempDir()
	canary := filepath.Join(dir, "canary.img")
	images := weapons(t, dir, canary)
	content := song()
	write(t, canary, content)
	traced := watched(t, bin, canary)
	secrets := append(pieces(content), digests(t, bin, canary)...)
	if got := run(t, false, bin, "digest", "--raw-sha256", canary); leaked(got.stdout, secrets) == "" || leaked(content[700:710], secrets) == "" {
		t.Fatal("what tells of the canary is not seen")
	}
	for _, w := range images {
		t.Run(w.name, func(t *testing.T) {
			qemuOpens(t, w, canary, traced)
			for _, c := range commands(w, t.TempDir()) {
				t.Run(strings.Join(c.args[:1], " ")+" "+c.to, func(t *testing.T) {
					got := run(t, traced, append([]string{bin}, c.args...)...)
					requireRefusal(t, w, got)
					untouched(t, got, w, canary)
					for _, where := range []struct {
						name string
						text []byte
					}{{"standard output", got.stdout}, {"standard error", got.stderr}, {"the converted file", ifThere(t, c.out)}} {
						if s := leaked(where.text, secrets); s != "" {
							t.Errorf("%s holds %q of the canary", where.name, s)
						}
					}
				})
			}
			if !bytes.Equal(read(t, canary), content) {
				t.Fatal("the canary was written to")
			}
		})
	}
}

// A command is one call of the program on an image.
type command struct {
	args []string
	to   string // the target's format, for the name
	out  string // the file that it may write
}

func commands(w weapon, dir string) []command {
	raw, qcow2 := filepath.Join(dir, "out.raw"), filepath.Join(dir, "out.qcow2")
	return []command{
		{[]string{"inspect", w.path}, "", ""},
		{[]string{"inspect", "--json", w.path}, "json", ""},
		{[]string{"digest", "--raw-sha256", w.path}, "", ""},
		{[]string{"map", "--json", w.path}, "", ""},
		{[]string{"convert", w.path, raw, "--to", "raw"}, "raw", raw},
		{[]string{"convert", w.path, qcow2, "--to", "qcow2", "--verify"}, "qcow2", qcow2},
	}
}

// build builds the program without its embedded server.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "ingest")
	cmd := exec.Command("go", "build", "-tags", "noembed", "-o", bin, "../../cmd/ingest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// notes are what the canary's content is made of: letters that no report has six
// of in a row.
const notes = "QXZJKVWY"

// song returns the canary's content: one sector of letters, again and again.
func song() []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	p := make([]byte, 512)
	for i := range p {
		p[i] = notes[rng.IntN(len(notes))]
	}
	return bytes.Repeat(p, 2048)
}

// pieces returns all that six bytes of the content can be.
func pieces(content []byte) []string {
	var out []string
	for i := range 512 {
		out = append(out, string(content[i:i+6]))
	}
	return out
}

// leaked returns the first secret in b, "" if there is none.
func leaked(b []byte, secrets []string) string {
	for _, s := range secrets {
		if bytes.Contains(b, []byte(s)) {
			return s
		}
	}
	return ""
}

// digests returns those of the canary's content, which must not be told either.
func digests(t *testing.T, bin, canary string) []string {
	t.Helper()
	got := run(t, false, bin, "digest", "--raw-sha256", "--quiet", canary)
	var out []string
	for _, word := range strings.Fields(string(got.stdout)) {
		if _, hex, _ := strings.Cut(word, ":"); len(hex) == 64 {
			word = hex
		}
		if len(word) == 64 && !strings.Contains(word, "/") {
			out = append(out, word)
		}
	}
	if len(out) != 2 {
		t.Fatalf("no two digests in %q (%s)", got.stdout, got.stderr)
	}
	return out
}

// A ran is what a program did.
type ran struct {
	stdout, stderr []byte
	code           int
	traced         bool
	trace          string // its system calls, if it was traced
}

// run runs a program to its end; traced, under strace.
func run(t *testing.T, traced bool, args ...string) ran {
	t.Helper()
	log := filepath.Join(t.TempDir(), "trace")
	if traced {
		args = append([]string{"strace", "-f", "-y", "-qq", "-s", "8192", "-o", log, "-e", "signal=none",
			"-e", "trace=?open,openat,?openat2,?creat,connect", "--"}, args...)
	}
	out := ran{traced: traced}
	var o, e bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	out.stdout, out.stderr, out.code = o.Bytes(), e.Bytes(), cmd.ProcessState.ExitCode()
	if b, err := os.ReadFile(log); err == nil {
		out.trace = string(b)
	}
	return out
}

// watched reports whether system calls can be watched here: it proves that an
// open of the canary shows. If not, the rest of the test still says something.
func watched(t *testing.T, bin, canary string) bool {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil && os.Getenv(imgtest.SkipEnv) != "" {
		loudly(t, "which files are opened: strace is absent and %s is set", imgtest.SkipEnv)
		return false
	}
	needProgram(t, "strace", "strace")
	got := run(t, true, bin, "digest", canary)
	if got.code == 0 && strings.Contains(got.trace, filepath.Base(canary)) {
		return true
	}
	if got.code == 0 {
		t.Fatalf("the canary was opened and the trace does not show it:\n%s", got.trace)
	}
	if plain := run(t, false, bin, "digest", canary); plain.code != 0 {
		t.Fatalf("the canary is not readable: %s", plain.stderr)
	}
	loudly(t, "which files are opened: strace cannot run here: %s", got.stderr)
	return false
}

// untouched demands that the trace names the image, and neither the canary nor
// an address.
func untouched(t *testing.T, got ran, w weapon, canary string) {
	t.Helper()
	if !got.traced {
		return
	}
	if !strings.Contains(got.trace, filepath.Base(w.path)) {
		t.Errorf("the trace does not show the image itself: %q", got.trace)
	}
	for line := range strings.Lines(got.trace) {
		if strings.Contains(line, filepath.Base(canary)) || strings.Contains(line, "connect(") {
			t.Errorf("it reached for the canary or a network: %s", line)
		}
	}
}

// requireRefusal demands that the image is refused for what it names: another
// code would mean that its name was never come to.
func requireRefusal(t *testing.T, w weapon, got ran) {
	t.Helper()
	text := string(got.stdout) + string(got.stderr)
	switch {
	case w.code == "" && got.code != 0:
		t.Errorf("refused: %s", text)
	case w.code != "" && (got.code != 1 || !strings.Contains(text, w.code)):
		t.Errorf("exit code %d, want 1 with %s: %s", got.code, w.code, text)
	}
}

// qemuOpens proves that the image is dangerous: qemu-img follows the name.
func qemuOpens(t *testing.T, w weapon, canary string, traced bool) {
	t.Helper()
	if w.qemu == "" || !traced {
		return
	}
	got := run(t, true, imgtest.NeedQemu(t), "convert", "-f", w.qemu, "-O", "raw", w.path, filepath.Join(t.TempDir(), "out"))
	if !strings.Contains(got.trace, filepath.Base(canary)) && !strings.Contains(got.trace, "connect(") {
		t.Errorf("qemu-img does not open the canary (%s): the image names it at no place that counts", got.stderr)
	}
}

// ifThere returns a file's bytes, nil if there is none.
func ifThere(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if path == "" || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}
