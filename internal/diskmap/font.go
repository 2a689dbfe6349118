package diskmap

import (
	"image"
	"image/color"

	"golang.org/x/image/font/basicfont"
)

// The size of a character of the one font, in its own pixels.
const (
	charWidth  = 7
	charHeight = 13
)

// samples is how many points of a large glyph, each way, make one pixel.
const samples = 4

// A bitmap is a glyph of any size.
type bitmap struct {
	w, h int
	on   []bool
}

func newBitmap(w, h int) bitmap { return bitmap{w, h, make([]bool, w*h)} }

// at returns the point at x, y, false outside.
func (b bitmap) at(x, y int) bool {
	return x >= 0 && y >= 0 && x < b.w && y < b.h && b.on[y*b.w+x]
}

// letter returns a character as the font has it; characters that it lacks look
// like a replacement character.
func letter(r rune) bitmap {
	face := basicfont.Face7x13
	out := newBitmap(charWidth, charHeight)
	top := 0
	for _, rng := range face.Ranges {
		if r >= rng.Low && r < rng.High {
			top = (int(r-rng.Low) + rng.Offset) * charHeight
			break
		}
		top = rng.Offset * charHeight // the last range is that of U+FFFD
	}
	for y := range charHeight {
		for x := range face.Width {
			_, _, _, a := face.Mask.At(x, top+y).RGBA()
			out.on[y*charWidth+x] = a > 0
		}
	}
	return out
}

// doubled returns the glyph twice as large. A corner between two sides of one
// colour takes that colour (the rule of Scale2x), so that slanted strokes become
// smooth instead of stairs.
func (b bitmap) doubled() bitmap {
	out := newBitmap(2*b.w, 2*b.h)
	for y := range b.h {
		for x := range b.w {
			up, down, left, right := b.at(x, y-1), b.at(x, y+1), b.at(x-1, y), b.at(x+1, y)
			quad := [4]bool{b.at(x, y), b.at(x, y), b.at(x, y), b.at(x, y)}
			if up != down && left != right {
				for i, side := range [4]bool{left == up, right == up, left == down, right == down} {
					if side {
						quad[i] = [4]bool{up, up, down, down}[i]
					}
				}
			}
			at := 2*y*out.w + 2*x
			out.on[at], out.on[at+1], out.on[at+out.w], out.on[at+out.w+1] = quad[0], quad[1], quad[2], quad[3]
		}
	}
	return out
}

// drawText writes s with its top left corner at p, each pixel of the font scale
// pixels wide.
func drawText(img *image.RGBA, p image.Point, s string, scale int, c color.RGBA) {
	for _, r := range s {
		drawGlyph(img, p, letter(r).doubled().doubled().doubled(), scale, c)
		p.X += charWidth * scale
	}
}

// drawGlyph draws a glyph that is 8 times as large as the font's, with soft
// edges.
func drawGlyph(img *image.RGBA, p image.Point, g bitmap, scale int, c color.RGBA) {
	for y := range charHeight * scale {
		for x := range charWidth * scale {
			n := 0
			for i := range samples * samples {
				// The middle of the sample, in points of the glyph.
				gx := (2*(x*samples+i%samples) + 1) * 8 / (2 * samples * scale)
				gy := (2*(y*samples+i/samples) + 1) * 8 / (2 * samples * scale)
				if g.at(gx, gy) {
					n++
				}
			}
			if n > 0 {
				at := img.RGBAAt(p.X+x, p.Y+y)
				img.SetRGBA(p.X+x, p.Y+y, mix(at, c, float64(n)/(samples*samples)))
			}
		}
	}
}

// mix returns a with the given share of b.
func mix(a, b color.RGBA, share float64) color.RGBA {
	part := func(x, y uint8) uint8 { return uint8(float64(x) + (float64(y)-float64(x))*share + 0.5) }
	return color.RGBA{part(a.R, b.R), part(a.G, b.G), part(a.B, b.B), 0xff}
}

// textWidth returns the width of n characters in pixels.
func textWidth(n, scale int) int { return n * charWidth * scale }
