package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ingest/internal/imgtest"
)

// decode reads what a command printed with --json.
func decode(t testing.TB, got said, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(got.stdout), into); err != nil {
		t.Fatalf("no JSON: %v\n%+v", err, got)
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	raw := disk(t, 20, 4*mib)
	for _, format := range []string{"raw", "qcow2", "vmdk", "vpc"} {
		path := imgtest.Convert(t, raw, "raw", format, map[string][]string{"vpc": {"force_size=on"}}[format]...)
		var out struct {
			DiskFormat  string `json:"disk_format"`
			VirtualSize int64  `json:"virtual_size"`
			Safe        bool   `json:"safe"`
		}
		got := ingest(t, "inspect", path, "--json")
		decode(t, got, &out)
		if want := strings.Replace(format, "vpc", "vhd", 1); got.code != 0 || out.DiskFormat != want || out.VirtualSize != 4*mib || !out.Safe {
			t.Errorf("inspect %s: %d, %+v", format, got.code, out)
		}
	}
	bad := filepath.Join(t.TempDir(), "bad.qcow2")
	imgtest.QemuImg(t, "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", hidden(t), bad, "8M")
	var out struct {
		Safe     bool `json:"safe"`
		Findings []struct{ Code, Remedy string }
	}
	got := ingest(t, "inspect", bad, "--json")
	decode(t, got, &out)
	if got.code != 1 || out.Safe || !strings.Contains(show(out.Findings), "IMG_QCOW2_BACKING_FILE") || strings.Contains(got.stdout+got.stderr, canary) {
		t.Errorf("inspect of a hostile image: %+v", got)
	}
	for _, args := range [][]string{{"inspect"}, {"inspect", raw, "--no-such-flag"}, {"no-such-command"}} {
		if got := ingest(t, args...); got.code != 2 || got.stderr == "" || got.stdout != "" {
			t.Errorf("ingest %q: %+v, want 2 and words on stderr", args, got)
		}
	}
	got = ingest(t, "inspect", filepath.Join(t.TempDir(), "nothing"))
	if got.code != 1 || !strings.Contains(got.stderr, "IMG_SOURCE_NOT_FOUND") || !strings.Contains(got.stderr, "what to do") {
		t.Errorf("inspect of nothing: %+v", got)
	}
}

func TestConvertDigestCompare(t *testing.T) {
	t.Parallel()
	raw := disk(t, 21, 12*mib)
	content := contentOf(t, raw)
	dir := t.TempDir()
	for _, c := range []struct{ from, to, compression string }{
		{"qcow2", "raw", "none"}, {"vmdk", "qcow2", "none"}, {"vpc", "qcow2", "zlib"}, {"raw", "qcow2", "zstd"},
	} {
		src := imgtest.Convert(t, raw, "raw", c.from, map[string][]string{"vpc": {"force_size=on"}}[c.from]...)
		dst := filepath.Join(dir, c.from+"."+c.to)
		got := ingest(t, "convert", src, dst, "--to", c.to, "--compression", c.compression, "--verify", "--json")
		var out struct {
			Verified      bool   `json:"verified"`
			ContentDigest string `json:"content_digest"`
			VirtualSize   int64  `json:"virtual_size"`
		}
		decode(t, got, &out)
		if got.code != 0 || !out.Verified || out.ContentDigest != content || out.VirtualSize != 12*mib {
			t.Errorf("convert %+v: %+v", c, got)
		}
		imgtest.QemuImg(t, "compare", "-f", "raw", "-F", c.to, raw, dst)
		if d := contentOf(t, dst); d != content {
			t.Errorf("digest of %s: %s, want %s", dst, d, content)
		}
		if got := ingest(t, "compare", src, dst, "--json"); got.code != 0 || !strings.Contains(got.stdout, `"same": true`) {
			t.Errorf("compare: %+v", got)
		}
	}
	if left := files(t, dir); len(left) != 4 {
		t.Errorf("four conversions left %v", left)
	}
	changed := into(t, dir, "changed.raw", raw, 0)
	f, err := os.OpenFile(changed, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{0}, 5*mib+77); err != nil { // the disk's data holds no zero
		t.Fatal(err)
	}
	var out struct {
		Same       bool
		Difference struct{ Offset int64 }
	}
	got := ingest(t, "compare", raw, changed, "--json")
	decode(t, got, &out)
	if got.code != 1 || out.Same || out.Difference.Offset != 5*mib+77 {
		t.Errorf("compare of what differs at %d: %+v", 5*mib+77, got)
	}
}

// A destination appears whole or not at all, and is never overwritten unasked.
func TestConvertKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	raw := disk(t, 22, 8*mib)
	dir := t.TempDir()
	dst := filepath.Join(dir, "dst.qcow2")
	if err := os.WriteFile(dst, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := ingest(t, "convert", raw, dst, "--to", "qcow2")
	if b, err := os.ReadFile(dst); got.code != 1 || err != nil || string(b) != "mine" || !strings.Contains(got.stderr, "DESTINATION_EXISTS") || !strings.Contains(got.stderr, "--force") {
		t.Errorf("convert onto a file: %+v; the file holds %.20q (%v)", got, b, err)
	}
	bad := filepath.Join(t.TempDir(), "bad.qcow2")
	imgtest.QemuImg(t, "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", hidden(t), bad, "8M")
	got = ingest(t, "convert", bad, dst, "--to", "raw", "--force")
	if b, err := os.ReadFile(dst); got.code != 1 || err != nil || string(b) != "mine" || !strings.Contains(got.stderr, "IMG_QCOW2_BACKING_FILE") {
		t.Errorf("convert of a hostile image: %+v; the file holds %.20q (%v)", got, b, err)
	}
	if got := ingest(t, "convert", raw, dst, "--to", "qed"); got.code == 0 {
		t.Errorf("convert to what is not written: %+v", got)
	}
	if got := ingest(t, "convert", raw, filepath.Join(dir, "dst.what")); got.code != 2 {
		t.Errorf("convert without a format: %+v", got)
	}
	if got := ingest(t, "convert", raw, dst, "--to", "qcow2", "--force"); got.code != 0 {
		t.Errorf("convert --force: %+v", got)
	}
	if d := contentOf(t, dst); d != contentOf(t, raw) {
		t.Errorf("what was replaced has content %s", d)
	}
	if left := files(t, dir); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

// A conversion that is stopped leaves no destination, and no other file if it
// can still do anything about it.
func TestConvertStopped(t *testing.T) {
	for _, c := range []struct {
		sig  os.Signal
		left int // files
	}{
		{os.Interrupt, 0}, {syscall.SIGTERM, 0}, {syscall.SIGKILL, 1},
	} {
		t.Run(c.sig.String(), func(t *testing.T) {
			t.Parallel()
			raw := disk(t, 23, 32*mib)
			from := serveFile(t, raw, true, 2*mib)
			dir := t.TempDir()
			args := []string{"convert", from.URL, filepath.Join(dir, "dst.qcow2"), "--allow-net", "127.0.0.0/8"}
			cmd := exec.Command(binary, args...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, time.Minute, "bytes of the source", func() (bool, string) { return from.sent.Load() > 4*mib, "" })
			if err := cmd.Process.Signal(c.sig); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Error("a conversion that was stopped says that it succeeded")
			}
			left := files(t, dir)
			if len(left) > c.left {
				t.Errorf("left: %v", left)
			}
			for _, path := range left {
				if !strings.HasPrefix(filepath.Base(path), ".dst.qcow2.ingest-") {
					t.Errorf("left under a name that says nothing: %s", path)
				}
			}
			from.rate.Store(0)
			if again := ingest(t, args...); again.code != 0 {
				t.Errorf("the same command once more: %+v", again)
			}
		})
	}
}

// What the server refuses is told with what can be done.
func TestImportCommand(t *testing.T) {
	t.Parallel()
	raw := disk(t, 24, 8*mib)
	s := start(t, []string{"--file-roots", filepath.Dir(raw)})
	env := []string{"INGEST_URL=" + s.url}
	got := ingestEnv(t, env, "import", raw, "--name", "by command", "--to", "qcow2", "--json")
	var img struct {
		ID, Name, Status string
		ContentDigest    string `json:"content_digest"`
	}
	decode(t, got, &img)
	if got.code != 0 || img.Status != "active" || img.Name != "by command" || img.ContentDigest != contentOf(t, raw) {
		t.Errorf("import: %+v", got)
	}
	saved := filepath.Join(t.TempDir(), "saved.qcow2")
	if got := ingestEnv(t, env, "image", "save", img.ID, saved); got.code != 0 || contentOf(t, saved) != img.ContentDigest {
		t.Errorf("image save: %+v", got)
	}
	got = ingestEnv(t, env, "import", hidden(t))
	if got.code != 1 || !strings.Contains(got.stderr, "IMG_SOURCE_OUTSIDE_ROOTS") || !strings.Contains(got.stderr, "--file-roots") {
		t.Errorf("import from elsewhere: %+v", got)
	}
	got = ingestEnv(t, []string{"INGEST_URL=http://127.0.0.1:1"}, "task", "list")
	if got.code != 1 || !strings.Contains(got.stderr, "ingest serve") {
		t.Errorf("no server: %+v", got)
	}
	if got := ingestEnv(t, env, "import"); got.code != 2 {
		t.Errorf("import of nothing: %+v", got)
	}
	second := ingest(t, "serve", "--data-dir", s.data, "--listen", "127.0.0.1:0")
	if second.code != 1 || !strings.Contains(second.stderr, "--data-dir") {
		t.Errorf("a second server on the same folder: %+v", second)
	}
	s.nothingLeft()
}
