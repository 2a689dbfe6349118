package fs

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/stores"
)

func TestURLsNameObjectsAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, "local")
	if err != nil {
		t.Fatal(err)
	}
	const key = "0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11/6f1c3a52-3d5e-5b0e-9a55-0d7f6f1f8c11"
	long := strings.Repeat("x", 200)
	for _, c := range []struct{ path, want string }{
		{"/objects/" + key, key},
		{"/external/disk.raw", "external/disk.raw"},
		{"/external/a/b/c@1.raw", "external/a/b/c@1.raw"},
		{"/external/" + long, "external/" + long},
		{"/external/%64isk.raw", "external/disk.raw"},
		{"/external/" + long + "x", ""},
		{"/external/a/a/a/a/a/a/a/a/a", ""},
		{"/objects/" + key + ".json", ""},
		{"/objects/x", ""},
		{"/uploads/x", ""},
		{"/external", ""},
		{"/external/", ""},
		{"/external/.hidden", ""},
		{"/external/a//b", ""},
		{"/external/../objects/" + key, ""},
		{"/external/%2e%2e/x", ""},
		{"/external/a%2f..%2f..%2fx", ""},
		{"/external/a b", ""},
		{"/external/a%00b", ""},
		{"/external/a?b", ""},
		{"/external/a#b", ""},
		{"/../etc/passwd", ""},
	} {
		got, ok := s.KeyOf("file://" + dir + c.path)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s is %q, %v", c.path, got, ok)
		}
	}
	for _, url := range []string{"", "disk", dir + "/external/d", "file://host" + dir + "/external/d", "http://h" + dir + "/external/d", "file://u:p@" + dir + "/external/d", "file:" + dir + "x/external/d"} {
		if got, ok := s.KeyOf(url); ok {
			t.Errorf("%s is %q", url, got)
		}
	}
}

func TestExternalObjectsAreReadAndNeverWritten(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	s, err := OpenSeveral([]Folder{{Dir: first}, {Dir: second}}, "disks")
	if err != nil {
		t.Fatal(err)
	}
	ctx, dir := t.Context(), filepath.Join(second, "external")
	if _, err := s.Stat(ctx, "external/d"); errcode.Of(err) != errcode.NotFound {
		t.Errorf("without a folder: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"external/d": "bytes", "outside": "secret"} {
		if err := os.WriteFile(filepath.Join(second, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../outside", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := s.Stat(ctx, "external/d")
	if err != nil || info.Size != 5 || info.Digest != (stores.Digest{}) {
		t.Errorf("%+v, %v", info, err)
	}
	if url, err := s.URL(ctx, "external/d"); err != nil || url != "file://"+second+"/external/d" {
		t.Errorf("%s, %v", url, err)
	}
	r, err := s.OpenRange(ctx, "external/d", 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := make([]byte, 5)
	if n, _ := r.Read(p); string(p[:n]) != "yte" {
		t.Errorf("read %q", p[:n])
	}
	for _, key := range []string{"external/link", "external/pipe", "external/sub", "external/none", "external/d/e"} {
		if _, err := s.Open(ctx, key); errcode.Of(err) != errcode.NotFound {
			t.Errorf("%s: %v", key, err)
		}
	}
	if _, err := s.Begin(ctx, "external/new", 5); errcode.Of(err) != errcode.BadRequest {
		t.Errorf("an upload: %v", err)
	}
	if err := s.Delete(ctx, "external/d"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(ctx, "external/d"); err != nil {
		t.Errorf("deleted: %v", err)
	}
	for o, err := range s.Objects(ctx) {
		t.Errorf("listed: %+v, %v", o, err)
	}
	for o, err := range s.Uploads(ctx, time.Now().Add(time.Hour)) {
		t.Errorf("listed: %+v, %v", o, err)
	}
}
