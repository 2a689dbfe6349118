package diskmap

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"strings"
	"testing"

	"ingest/formats"
)

// picture draws a disk and decodes what was written.
func picture(t *testing.T, size int64, source string, extents ...formats.Extent) (*Map, image.Image) {
	t.Helper()
	columns, rows := PictureGrid(size)
	m := build(t, size, columns, rows, extents...)
	m.Source = source
	var out bytes.Buffer
	if err := m.WritePNG(&out); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&out)
	if err != nil {
		t.Fatal(err)
	}
	if img.Bounds() != image.Rect(0, 0, picWidth, picHeight) {
		t.Fatalf("picture of %v", img.Bounds())
	}
	return m, img
}

func at(img image.Image, r image.Rectangle) color.RGBA {
	p := r.Min.Add(r.Size().Div(2))
	return color.RGBAModel.Convert(img.At(p.X, p.Y)).(color.RGBA)
}

func TestPictureCells(t *testing.T) {
	// 128*52 squares of 1.5 MiB: 9.75 GiB.
	m, img := picture(t, 128*52*3*mib/2, "disk.qcow2", laid(128*52*3*mib/2,
		plain(3*mib, 0), packed(3*mib), zeros(3*mib), plain(mib, 0), hole(mib), plain(512, 0))...)
	if m.Grid.CellBytes != 3*mib/2 || m.Grid.Rows() != 52 {
		t.Fatalf("grid %+v", m.Grid)
	}
	for i, want := range map[int]color.RGBA{
		0: classColours[Data], 1: classColours[Data],
		2: classColours[Compressed], 3: classColours[Compressed],
		4: classColours[Zero], 5: classColours[Zero],
		6:            Cell{Data: mib, Hole: mib / 2}.Colour(),
		7:            Cell{Data: 512, Hole: 3*mib/2 - 512}.Colour(),
		8:            classColours[Hole],
		17 + 128*30:  classColours[Hole],
		127 + 128*51: classColours[Hole],
	} {
		if got := at(img, m.cellRect(i)); got != want {
			t.Errorf("square %d is %v, want %v", i, got, want)
		}
	}
	if r := m.cellRect(128*52 - 1); r.Max.X > picWidth || r.Max.Y > tableTop {
		t.Errorf("the last square is at %v", r)
	}
}

func TestPictureLegend(t *testing.T) {
	_, img := picture(t, 10*gib, "disk.qcow2", sample()...)
	for class := range Classes {
		if got := at(img, swatch(class)); got != classColours[class] {
			t.Errorf("swatch of %v is %v", Class(class), got)
		}
		if n := inked(img, image.Rect(left+30, swatch(class).Min.Y, 200, swatch(class).Max.Y)); n < 50 {
			t.Errorf("%v has no name: %d dark pixels", Class(class), n)
		}
	}
	for name, r := range map[string]image.Rectangle{
		"title": image.Rect(left, 20, 600, 62), "facts": image.Rect(left, 78, 1100, 104),
		"axis": image.Rect(left, mapTop+mapRows/2, mapLeft-14, mapTop+mapRows), "note": image.Rect(left, tableTop+6*lineStep+20, 900, picHeight),
	} {
		if n := inked(img, r); n < 100 {
			t.Errorf("%s: %d dark pixels", name, n)
		}
	}
	// Nothing is cut off at the edges.
	for _, edge := range []image.Rectangle{image.Rect(0, 0, picWidth, 8), image.Rect(0, picHeight-2, picWidth, picHeight), image.Rect(0, 0, left-1, picHeight), image.Rect(picWidth-8, 0, picWidth, picHeight)} {
		if n := inked(img, edge); n > 0 {
			t.Errorf("%d dark pixels at the edge %v", n, edge)
		}
	}
}

// inked counts pixels of letters.
func inked(img image.Image, r image.Rectangle) int {
	n := 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if c := color.GrayModel.Convert(img.At(x, y)).(color.Gray); c.Y < 0xb0 {
				n++
			}
		}
	}
	return n
}

// TestPictureSizes draws disks of any size and names of any kind.
func TestPictureSizes(t *testing.T) {
	for _, size := range []int64{1, 512, 64 * kib, mib, 3*mib + 1, gib, 64 * tib, 1<<63 - 1} {
		m, img := picture(t, size, strings.Repeat("\x00名前/", 99), laid(size, plain(1, 0))...)
		want := Cell{Data: 1, Hole: min(size, m.Grid.CellBytes) - 1}.Colour()
		if got := at(img, m.cellRect(0)); got != want {
			t.Errorf("%d bytes: the first square is %v, want %v", size, got, want)
		}
		if d := distance(want, classColours[Hole]); d < 20 {
			t.Errorf("%d bytes: one byte of data differs by %.0f from a hole", size, d)
		}
		if r := m.cellRect(len(m.Cells) - 1); r.Max.X > mapLeft+mapWidth || r.Max.Y > mapTop+mapRows {
			t.Errorf("%d bytes: the last square is at %v", size, r)
		}
	}
}

// TestBlend: more data is never paler, and a trace of anything shows.
func TestBlend(t *testing.T) {
	for _, class := range []Class{Data, Compressed, Zero} {
		last := -1.0
		for _, n := range []int64{1, tib, 4 * tib, 16 * tib, 32 * tib, 63 * tib, 64 * tib} {
			c := Cell{Hole: 64*tib - n}
			c[class] += n
			d := distance(c.Colour(), classColours[Hole])
			if d < 8 || d < last {
				t.Errorf("%d bytes of %v in 64 TiB differ by %.1f from a hole, less by %.1f", n, class, d, last)
			}
			last = d
		}
	}
}

// TestColourBlind measures that the classes differ for eyes of each kind.
func TestColourBlind(t *testing.T) {
	eyes := map[string][9]float64{ // linear RGB; Viénot, Brettel and Mollon 1999, and the grey of luminance
		"normal":       {1, 0, 0, 0, 1, 0, 0, 0, 1},
		"protanopia":   {0.11238, 0.88762, 0, 0.11238, 0.88762, 0, 0.00401, -0.00401, 1},
		"deuteranopia": {0.29275, 0.70725, 0, 0.29275, 0.70725, 0, -0.02234, 0.02234, 1},
		"none":         {0.2126, 0.7152, 0.0722, 0.2126, 0.7152, 0.0722, 0.2126, 0.7152, 0.0722},
	}
	for name, m := range eyes {
		least := 20.0
		if name == "none" {
			least = 5 // swatches and letters help; on paper without colours two may be close
		}
		for a := range Classes {
			for b := range a {
				if d := distance(seen(m, classColours[a]), seen(m, classColours[b])); d < least {
					t.Errorf("%s: %v and %v differ by %.1f", name, Class(a), Class(b), d)
				}
			}
		}
	}
}

// seen applies a matrix to a colour, in linear light.
func seen(m [9]float64, c color.RGBA) color.RGBA {
	r, g, b := linear(c.R), linear(c.G), linear(c.B)
	var out [3]uint8
	for i := range out {
		v := min(max(m[3*i]*r+m[3*i+1]*g+m[3*i+2]*b, 0), 1)
		if v <= 0.0031308 {
			v *= 12.92
		} else {
			v = 1.055*math.Pow(v, 1/2.4) - 0.055
		}
		out[i] = uint8(v*255 + 0.5)
	}
	return color.RGBA{out[0], out[1], out[2], 0xff}
}

func linear(v uint8) float64 {
	f := float64(v) / 255
	if f <= 0.04045 {
		return f / 12.92
	}
	return math.Pow((f+0.055)/1.055, 2.4)
}

// distance is that of CIE 1976 in L*a*b*; 2.3 can just be seen.
func distance(a, b color.RGBA) float64 {
	x, y := lab(a), lab(b)
	return math.Sqrt((x[0]-y[0])*(x[0]-y[0]) + (x[1]-y[1])*(x[1]-y[1]) + (x[2]-y[2])*(x[2]-y[2]))
}

func lab(c color.RGBA) [3]float64 {
	r, g, b := linear(c.R), linear(c.G), linear(c.B)
	f := func(t float64) float64 {
		if t > 216.0/24389 {
			return math.Cbrt(t)
		}
		return (24389.0/27*t + 16) / 116
	}
	x := f((0.4124*r + 0.3576*g + 0.1805*b) / 0.9505)
	y := f(0.2126*r + 0.7152*g + 0.0722*b)
	z := f((0.0193*r + 0.1192*g + 0.9505*b) / 1.089)
	return [3]float64{116*y - 16, 500 * (x - y), 200 * (y - z)}
}
