package main

import (
	"bytes"
	"encoding/json"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingest/internal/imgtest"
)

// runMap runs `ingest map` and returns what it printed.
func runMap(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var o, e bytes.Buffer
	g := &globals{}
	if got := execute(t.Context(), g, commands(g), append([]string{"map"}, args...), &o, &e); got != want {
		t.Fatalf("map %q: exit code %d, want %d\n%s%s", args, got, want, o.String(), e.String())
	}
	return o.String(), e.String()
}

// mappedImage returns a compressed qcow2 of 64 MiB with 2 MiB of data.
func mappedImage(t *testing.T) string {
	t.Helper()
	model := imgtest.New(64<<20, 3, imgtest.Run{Off: 10 << 20, Len: 2 << 20, Kind: imgtest.Text})
	return imgtest.Convert(t, imgtest.WriteRaw(t, model), "raw", "qcow2", "-c")
}

func TestMapText(t *testing.T) {
	image := mappedImage(t)
	out, _ := runMap(t, 0, image)
	for _, want := range []string{"qcow2", "virtual size 64.0 MiB", "\n    8 MiB  ", "CCCC", "C compressed", "2.00 MiB", "62.0 MiB", "96.9%"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Errorf("colours without a terminal: %q", out)
	}
	summary, _ := runMap(t, 0, "--summary", image)
	if strings.Contains(summary, "CCCC") || !strings.Contains(summary, "62.0 MiB") {
		t.Errorf("summary:\n%s", summary)
	}
}

func TestMapJSON(t *testing.T) {
	image := mappedImage(t)
	for _, args := range [][]string{{"--json", image}, {"--json", "--summary", image}} {
		out, _ := runMap(t, 0, args...)
		var got struct {
			Source     string
			DiskFormat string `json:"disk_format"`
			Virtual    int64  `json:"virtual_size"`
			Extents    []struct {
				Offset, Length int64
				State          string
				Compressed     bool
			}
			Totals struct{ Compressed struct{ Bytes int64 } }
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got.Source != image || got.DiskFormat != "qcow2" || got.Virtual != 64<<20 || got.Totals.Compressed.Bytes != 2<<20 {
			t.Errorf("%q: %+v", args, got)
		}
		if len(args) == 3 {
			if got.Extents != nil {
				t.Errorf("a summary with extents: %+v", got.Extents)
			}
			continue
		}
		if len(got.Extents) != 3 || got.Extents[1].Offset != 10<<20 || got.Extents[1].Length != 2<<20 || !got.Extents[1].Compressed || got.Extents[2].State != "hole" {
			t.Errorf("extents: %+v", got.Extents)
		}
	}
}

func TestMapPNG(t *testing.T) {
	image, dir := mappedImage(t), t.TempDir()
	path := filepath.Join(dir, "map.png")
	out, notice := runMap(t, 0, "--png", path, image)
	if out != "" || !strings.Contains(notice, path) {
		t.Errorf("printed %q, %q", out, notice)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := png.Decode(bytes.NewReader(first)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr := runMap(t, 1, "--png", path, image); !strings.Contains(stderr, "exists") {
		t.Errorf("an existing file: %s", stderr)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Fatalf("the file holds %q, %v", b, err)
	}
	runMap(t, 0, "--png", path, "--force", "-q", image)
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, first) {
		t.Errorf("--force wrote %d bytes, %v; want the same picture of %d", len(b), err, len(first))
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

func TestMapRefusals(t *testing.T) {
	image := mappedImage(t)
	before, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.qcow2")
	if err := os.WriteFile(bad, append([]byte("QFI\xfb\x00\x00\x00\x09"), make([]byte, 4096)...), 0o600); err != nil {
		t.Fatal(err)
	}
	picture := filepath.Join(t.TempDir(), "map.png")
	for _, tt := range []struct {
		name string
		code int
		args []string
		want string
	}{
		{"two kinds of output", 2, []string{"--json", "--png", picture, image}, "--png goes with neither"},
		{"a summary of a picture", 2, []string{"--summary", "--png", picture, image}, "--png goes with neither"},
		{"force for nothing", 2, []string{"--force", image}, "--force"},
		{"the image itself", 2, []string{"--force", "--png", image, image}, "the image itself"},
		{"no source", 2, nil, "arg"},
		{"another format", 1, []string{"--from", "vmdk", image}, "vmdk"},
		{"no such file", 1, []string{image + ".gone"}, ""},
		{"damaged", 1, []string{"--png", picture, bad}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, stderr := runMap(t, tt.code, tt.args...)
			if out != "" && !strings.HasPrefix(out, "{") || !strings.Contains(stderr, tt.want) || stderr == "" {
				t.Errorf("printed %q, %q; want %q", out, stderr, tt.want)
			}
		})
	}
	if _, err := os.Stat(picture); !os.IsNotExist(err) {
		t.Errorf("a refused picture was written: %v", err)
	}
	if after, err := os.ReadFile(image); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the image has changed, %v", err)
	}
}
