package file

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/sources"
	"ingest/sources/sourcetest"
)

func TestDriver(t *testing.T) {
	sourcetest.Run(t, func(tb testing.TB, content []byte) sourcetest.Fixture {
		dir := tb.TempDir()
		path := filepath.Join(dir, "image.raw")
		// The times are set, because two writes within one tick of a coarse
		// clock have one time.
		mtime := time.Unix(1_700_000_000, 0)
		write := func(content []byte) {
			mtime = mtime.Add(time.Nanosecond)
			if err := errors.Join(os.WriteFile(path, content, 0o600), os.Chtimes(path, mtime, mtime)); err != nil {
				tb.Fatal(err)
			}
		}
		write(content)
		return sourcetest.Fixture{
			Driver:  New([]string{dir}),
			Ref:     sources.Ref{URL: path},
			Replace: write,
			Cut: func(n int) {
				if err := os.Truncate(path, int64(n)); err != nil {
					tb.Fatal(err)
				}
			},
			Remove: func() { os.Remove(path) },
		}
	})
}

// tree is two roots and a place outside both.
func tree(t *testing.T) (a, b, out string) {
	t.Helper()
	dir := t.TempDir()
	a, b, out = filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "out")
	for _, d := range []string{a, b, out, filepath.Join(a, "sub"), filepath.Join(a, "folder")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{a + "/x": "a/x", a + "/sub/y z%": "a/sub/y z%", b + "/only-b": "b/only-b", b + "/x": "b/x", out + "/secret": "secret", dir + "/a-sibling": "secret"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{a + "/inner": "sub/y z%", a + "/outer": "../out/secret", a + "/abs": out + "/secret", a + "/outdir": "../out", a + "/loop": "loop", a + "/dangling": "nothing", a + "/null": "/dev/null"} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(a+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", a+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return a, b, out
}

func TestRoots(t *testing.T) {
	a, b, out := tree(t)
	none, outside, irregular, invalid := errcode.SourceNotFound, errcode.SourceOutsideRoots, errcode.SourceNotRegular, errcode.SourceURLInvalid
	for _, tt := range []struct {
		ref  string
		want string // content
		code errcode.Code
	}{
		{a + "/x", "a/x", ""},
		{"file://" + a + "/x", "a/x", ""},
		{"FILE://localhost" + a + "/x", "a/x", ""},
		{"file://" + a + "/sub/y%20z%25", "a/sub/y z%", ""},
		{a + "/sub/y z%", "a/sub/y z%", ""},
		{a + "/sub/../x", "a/x", ""},
		{a + "/inner", "a/sub/y z%", ""},
		{"x", "a/x", ""},
		{"./sub/../x", "a/x", ""},
		{"only-b", "b/only-b", ""},
		{b + "/x", "b/x", ""},
		{"nothing", "", none},
		{a + "/nothing", "", none},
		{a + "/x/below", "", none},
		{a + "/dangling", "", none},
		{a + "/" + strings.Repeat("n", 300), "", none},
		{out + "/secret", "", outside},
		{out + "/nothing", "", outside},
		{a + "-sibling", "", outside},
		{a + "/../out/secret", "", outside},
		{"../out/secret", "", outside},
		{"file://" + a + "/%2e%2e/out/secret", "", outside},
		{a + "/outer", "", outside},
		{a + "/abs", "", outside},
		{a + "/outdir/secret", "", outside},
		{a + "/loop", "", outside},
		{a + "/null", "", outside},
		{"/etc/passwd", "", outside},
		{"/dev/null", "", outside},
		{a, "", irregular},
		{a + "/folder", "", irregular},
		{a + "/fifo", "", irregular},
		{a + "/socket", "", irregular},
		{"file://elsewhere" + a + "/x", "", invalid},
		{"file://user@" + a + "/x", "", invalid},
		{"file://" + a + "/x?q", "", invalid},
		{"file://" + a + "/x#f", "", invalid},
		{"file://" + a + "/x%00", "", invalid},
		{"file:///%zz", "", invalid},
		{"http://example.com/x", "", invalid},
		{a + "/x\x00", "", invalid},
		{"", "", invalid},
	} {
		s, err := New([]string{a, b}).Open(t.Context(), sources.Ref{URL: tt.ref}, nil)
		if errcode.Of(err) != tt.code {
			t.Errorf("Open(%q): %v, want code %q", tt.ref, err, tt.code)
		}
		if err != nil {
			if strings.Contains(err.Error(), filepath.Dir(a)) {
				t.Errorf("Open(%q) tells where the roots are: %v", tt.ref, err)
			}
			continue
		}
		wantContent(t, s, tt.want)
	}
}

func wantContent(t *testing.T, s sources.Source, want string) {
	t.Helper()
	defer s.Close()
	r, err := s.ReaderAt(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, len(want))
	if _, err := r.ReadAt(p, 0); err != nil || string(p) != want || s.Pin().Size != int64(len(want)) {
		t.Errorf("content = %q of %d bytes, %v; want %q", p, s.Pin().Size, err, want)
	}
	if pin := s.Pin(); !pin.Local || !pin.Strong || !pin.Random {
		t.Errorf("Pin = %+v, want local, strong and random", pin)
	}
}

func TestNoRoots(t *testing.T) {
	for _, d := range []*Driver{New(nil), New([]string{""})} {
		if _, err := d.Open(t.Context(), sources.Ref{URL: "/etc/passwd"}, nil); errcode.Of(err) != errcode.SourceOutsideRoots {
			t.Errorf("Open without roots: %v", err)
		}
	}
}

// TestWholeFileSystem shows the root "/" of the command line: all links are
// followed, and still no device is opened.
func TestWholeFileSystem(t *testing.T) {
	a, _, _ := tree(t)
	d := New([]string{"/"})
	for _, ref := range []string{a + "/outer", a + "/abs"} {
		s, err := d.Open(t.Context(), sources.Ref{URL: ref}, nil)
		if err != nil {
			t.Fatalf("Open(%s): %v", ref, err)
		}
		wantContent(t, s, "secret")
	}
	for _, ref := range []string{"/dev/null", a + "/null", "/", a + "/fifo"} {
		if _, err := d.Open(t.Context(), sources.Ref{URL: ref}, nil); errcode.Of(err) != errcode.SourceNotRegular {
			t.Errorf("Open(%s): %v, want %s", ref, err, errcode.SourceNotRegular)
		}
	}
}

func TestSparseFile(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 5 << 40
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("x"), 4096)
	if _, err := f.WriteAt(want, 4<<40); err != nil {
		t.Fatal(err)
	}
	s, err := New([]string{dir}).Open(t.Context(), sources.Ref{URL: "sparse"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := s.ReaderAt(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	start, end, err := r.(*reader).NextData(0)
	if start != 4<<40 || end != 4<<40+4096 || err != nil {
		t.Errorf("NextData(0) = [%d, %d), %v; want the 4 KiB at 4 TiB", start, end, err)
	}
	if start, end, err := r.(*reader).NextData(end); start != size || end != size || err != nil {
		t.Errorf("NextData behind the data = [%d, %d), %v", start, end, err)
	}
}

// A file that is not the pinned version is closed, with both ways to its bytes.
func TestChangedFileIsClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.raw")
	if err := os.WriteFile(path, []byte("image"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which closes what nobody uses
	d := New([]string{filepath.Dir(path)})
	if _, err := d.Open(t.Context(), sources.Ref{URL: path}, &sources.Pin{Validator: "another"}); errcode.Of(err) != errcode.SourceChanged {
		t.Fatalf("another version: %v", err)
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if at, _ := os.Readlink(filepath.Join("/proc/self/fd", fd.Name())); at == path {
			t.Errorf("descriptor %s is open", fd.Name())
		}
	}
}
