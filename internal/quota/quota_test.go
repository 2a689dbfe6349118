package quota

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"ingest/internal/errcode"
	"ingest/metadata"
)

var base = metadata.Limits{Images: 7, ImageBytes: 1 << 30, StageBytes: metadata.Unlimited, Uploading: 2}

func TestMostSpecificSettingCounts(t *testing.T) {
	s, err := Parse("q.yaml", []byte(`
defaults:
  image_size_total: 500GiB
  image_count_uploading: unlimited
projects:
  acme: {image_size_total: 2 TiB, image_count_total: 0, image_stage_total: 12B}
  idle: {}
`), base)
	if err != nil {
		t.Fatal(err)
	}
	defaults := metadata.Limits{Images: 7, ImageBytes: 500 << 30, StageBytes: -1, Uploading: -1}
	for project, want := range map[string]metadata.Limits{
		"acme": {Images: 0, ImageBytes: 2 << 40, StageBytes: 12, Uploading: -1}, "idle": defaults, "unknown": defaults,
	} {
		if got := s.Of(project); got != want {
			t.Errorf("%s: %+v, want %+v", project, got, want)
		}
	}
	if got := (*Set)(nil).Of("x"); got != metadata.NoLimits() {
		t.Errorf("no set: %+v", got)
	}
}

func TestRefusedFiles(t *testing.T) {
	for text, want := range map[string]string{
		"defaults: {image_size_total: 500}":       "with its unit",
		"defaults: {image_size_total: -2GiB}":     "with its unit",
		"defaults: {image_size_total: 9000PiB}":   "with its unit",
		"defaults: {image_count_total: 1.5}":      "a number",
		"defaults: {image_count_total: +1}":       "a number",
		"defaults: {image_count_total: 3GiB}":     "a number",
		"defaults: {image_count_total: [1]}":      "line 1",
		"defaults: {images: 3}":                   "images",
		"projects: {a: {x: 1}}":                   "x",
		"nothing: 1":                              "nothing",
		"- a":                                     "line 1",
		"defaults: {}\n---\ndefaults: {}":         "behind the first",
		"#" + strings.Repeat("x", MaxBytes):       "more than",
		"defaults: {image_count_total: \"\"}":     "a number",
		"\ndefaults:\n image_count_total: \"1x\"": "line 3",
	} {
		_, err := Parse("q%s.yaml", []byte(text), base)
		if errcode.Of(err) != errcode.BadRequest || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "q%s.yaml") {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
	if s, err := Parse("q.yaml", nil, base); err != nil || s.Of("x") != base {
		t.Errorf("an empty file: %v", err)
	}
}

func TestHolderReadsAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(path, base, zerolog.Nop()); errcode.Of(err) != errcode.BadRequest {
		t.Errorf("no file: %v", err)
	}
	write("defaults: {image_count_total: 3}")
	h, err := Open(path, base, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text string
		want int64
	}{{"defaults: {image_count_total: 4}", 4}, {"nonsense", 4}, {"{}", 7}} {
		write(c.text)
		if err := h.file.Reload(); (err != nil) != (c.text == "nonsense") {
			t.Errorf("%q: %v", c.text, err)
		}
		if got := h.Of("p").Images; got != c.want {
			t.Errorf("after %q: %d, want %d", c.text, got, c.want)
		}
	}
	if h, err := Open("", base, zerolog.Nop()); err != nil || h.Of("p") != base {
		t.Errorf("without a file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("defaults: {image_size_total: 500GiB}\nprojects: {a: {image_count_total: 1}}")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("q", []byte(text), base)
		if (s == nil) == (err == nil) || err != nil && errcode.Of(err) != errcode.BadRequest {
			t.Errorf("%v, %v", s, err)
		}
		if l := s.Of("a"); l.Images < -1 || l.ImageBytes < -1 || l.StageBytes < -1 || l.Uploading < -1 {
			t.Errorf("%+v", l)
		}
	})
}
