package realimages

import (
	"io"
	"os"
	"testing"

	"ingest/detect"
	"ingest/formats"
	"ingest/formats/readers"
	"ingest/internal/imgtest"
)

// TestHeadRefusesNoRealImage judges each image, and its copies in other formats,
// by its first bytes: all of them are accepted whole.
func TestHeadRefusesNoRealImage(t *testing.T) {
	for _, r := range images() {
		t.Run(r.name, func(t *testing.T) {
			path := r.open(t)
			headAccepts(t, path, r.format)
			if r.format == formats.Raw {
				return // large; TestRealImagesConvert copies it
			}
			for _, c := range copies() {
				if r.format != formats.ISO || c.format != formats.VHD {
					headAccepts(t, imgtest.Convert(t, path, "raw", c.qemu, c.options...), c.format)
				}
			}
		})
	}
}

func headAccepts(t *testing.T, path string, is formats.Name) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, n := range []int64{512, formats.HeadLen, detect.HeadBytes} {
		head := make([]byte, min(n, fileSize(t, path)))
		if _, err := io.ReadFull(io.NewSectionReader(f, 0, n), head); err != nil {
			t.Fatal(err)
		}
		for _, size := range []int64{fileSize(t, path), -1} {
			for _, declared := range []formats.Name{"", is} {
				s := detect.Stream{Size: size, Declared: declared, Limits: formats.DefaultLimits()}
				if _, err := detect.New(readers.All()).Head(t.Context(), head, s); err != nil {
					t.Errorf("%s, %d bytes of %d, declared %q: %v", is, n, size, declared, err)
				}
			}
		}
	}
}
