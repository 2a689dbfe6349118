package diskmap

import "image/color"

// The colours of the picture. Those of the classes are told apart with any
// kind of colour blindness, by lightness as well as by hue; a test measures it.
var (
	paper = color.RGBA{0xff, 0xff, 0xff, 0xff}
	ink   = color.RGBA{0x1b, 0x24, 0x30, 0xff}
	faint = color.RGBA{0x5c, 0x69, 0x78, 0xff}
	frame = color.RGBA{0xc3, 0xcb, 0xd4, 0xff}

	classColours = [Classes]color.RGBA{
		Data:       {0x00, 0x5f, 0xa8, 0xff},
		Compressed: {0xdd, 0x74, 0x00, 0xff},
		Zero:       {0x6f, 0xb9, 0xa2, 0xff},
		Hole:       {0xe9, 0xec, 0xf0, 0xff},
	}
)

// trace is the least share of a cell's colour that a class has as soon as one
// of its bytes is in the cell: nothing disappears, however large the disk. What
// is stored gets more than what is not.
var trace = [Classes]float64{Data: 0.3, Compressed: 0.3, Zero: 0.25, Hole: 0.05}

// Colour returns the colour of a cell: that of its class, or a blend by share.
func (c Cell) Colour() color.RGBA {
	rest := 1.0
	for k, n := range c {
		if n > 0 {
			rest -= trace[k]
		}
	}
	var r, g, b float64
	for k, n := range c {
		if n == 0 {
			continue
		}
		w := trace[k] + rest*c.Share(Class(k))
		r += w * float64(classColours[k].R)
		g += w * float64(classColours[k].G)
		b += w * float64(classColours[k].B)
	}
	return color.RGBA{uint8(r + 0.5), uint8(g + 0.5), uint8(b + 0.5), 0xff}
}
