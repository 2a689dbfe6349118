package diskmap

import (
	"bytes"
	"image/color"
	"image/png"
	"strings"
	"testing"
	"unicode/utf8"
)

// divided is a disk of 1 GiB with a gap in its middle.
func divided() Layout {
	return Layout{Source: "disk.raw", Kind: "GPT partition table", Size: 1 << 30, Parts: []Part{
		{Name: "1", Off: mib, Len: 64 * mib, Type: "EFI system", Contents: "FAT32", Label: "ESP", Use: Boot},
		{Name: "2", Off: 65 * mib, Len: 447 * mib, Type: "Linux", Contents: "ext4", Label: "root", Use: Files},
		{Name: "3", Off: 768 * mib, Len: 255 * mib, Type: "Linux swap", Use: Opaque},
	}}
}

func TestLayoutText(t *testing.T) {
	var b bytes.Buffer
	if err := divided().WriteText(&b, 80); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	for i, line := range lines[1:5] {
		if n := utf8.RuneCountInString(line); n != 80 {
			t.Errorf("line %d has %d characters: %q", i, n, line)
		}
	}
	for _, want := range []string{"GPT partition table\n┌", "│1", "│FAT32", "│free", "┬···", "2   65 MiB   447 MiB  Linux ", "┘"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// TestLayoutWidths demands that the boxes fill the width, whatever the parts are.
func TestLayoutWidths(t *testing.T) {
	many := Layout{Size: 1 << 40}
	for i := range int64(200) {
		many.Parts = append(many.Parts, Part{Name: "x", Off: i << 20, Len: 1 << 20})
	}
	for name, l := range map[string]Layout{
		"usual":          divided(),
		"many":           many,
		"one":            {Size: 512, Parts: []Part{{Len: 512}}},
		"overlapping":    {Size: 100 * mib, Parts: []Part{{Off: 0, Len: 100 * mib}, {Off: 10 * mib, Len: 10 * mib}, {Off: 90 * mib, Len: 50 * mib}}},
		"behind the end": {Size: 10 * mib, Parts: []Part{{Off: 20 * mib, Len: 10 * mib}}},
		"vast":           {Size: 1<<63 - 1, Parts: []Part{{Off: 1 << 62, Len: 1 << 61}, {Off: 1, Len: 1}}},
	} {
		for _, width := range []int{40, 79, 160, 1160} {
			sum, end := 0, int64(0)
			for _, s := range l.segments(width, leastBox) {
				sum += s.width
				if s.width < leastBox || s.part.Off < end-s.part.Len {
					t.Errorf("%s, %d: %+v", name, width, s)
				}
				end += s.part.Len
			}
			if sum != width {
				t.Errorf("%s: %d of %d", name, sum, width)
			}
		}
	}
	if got := (Layout{}).segments(80, leastBox); len(got) != 0 {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestLayoutPicture(t *testing.T) {
	var out bytes.Buffer
	if err := divided().WritePNG(&out); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&out)
	if err != nil {
		t.Fatal(err)
	}
	at := func(share float64) color.RGBA {
		return color.RGBAModel.Convert(img.At(left+int(share*(picWidth-2*left)), barTop+barHeight-20)).(color.RGBA)
	}
	for share, want := range map[float64]color.RGBA{0.02: useColours[Boot], 0.4: useColours[Files], 0.65: useColours[Free], 0.9: useColours[Opaque]} {
		if got := at(share); got != want {
			t.Errorf("at %v the bar is %v, want %v", share, got, want)
		}
	}
}

// TestLayoutPictureOfManyParts demands that the height is bounded.
func TestLayoutPictureOfManyParts(t *testing.T) {
	l := Layout{Size: 1 << 40, Source: strings.Repeat("long ", 100)}
	for i := range int64(1024) {
		l.Parts = append(l.Parts, Part{Name: "number", Off: i << 30, Len: 1 << 30, Type: strings.Repeat("t", 100), Contents: "c\x1b[2J"})
	}
	if h := l.Draw().Bounds().Dy(); h > 3000 {
		t.Errorf("%d pixels high", h)
	}
}
