package diskmap

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"

	"ingest/internal/cli"
	"ingest/internal/progress"
)

// The picture of a layout, in pixels.
const (
	barTop    = 132
	barHeight = 150
	leastBar  = 10 // width of a segment
	rowsTop   = barTop + barHeight + 72
	maxRows   = 64
)

// layoutColumns are where the columns of the table begin; those of numbers end at
// beginRight and sizeRight.
const (
	nameLeft     = 56
	beginRight   = 290
	sizeRight    = 420
	typeLeft     = 450
	contentsLeft = 780
	labelLeft    = 990
)

// useColours are those of the map's classes where these fit, so that they are told
// apart as well.
var useColours = [Uses]color.RGBA{
	Files:  classColours[Data],
	Boot:   classColours[Compressed],
	Other:  classColours[Zero],
	Opaque: {0x8b, 0x95, 0xa1, 0xff},
	Free:   classColours[Hole],
}

// WritePNG writes the layout as a picture in PNG.
func (l Layout) WritePNG(w io.Writer) error {
	enc := png.Encoder{CompressionLevel: png.BestCompression}
	return enc.Encode(w, l.Draw())
}

// Draw draws the layout. Its height depends on the number of parts.
func (l Layout) Draw() *image.RGBA {
	rows := min(len(l.Parts), maxRows)
	if len(l.Parts) > maxRows {
		rows++
	}
	img := image.NewRGBA(image.Rect(0, 0, picWidth, rowsTop+(rows+1)*lineStep+60))
	fill(img, img.Bounds(), paper)
	name := shorten(cli.Clean(l.Source), (picWidth-2*left)/textWidth(1, 3))
	for dx := range 2 { // bold
		drawText(img, image.Pt(left+dx, 22), name, 3, ink)
	}
	line := fmt.Sprintf("%s   virtual size %s", cli.Clean(l.Kind), progress.Bytes(l.Size))
	drawText(img, image.Pt(left, 78), shorten(line, (picWidth-2*left)/textWidth(1, 2)), 2, faint)
	l.drawBar(img)
	l.drawRows(img)
	l.drawUses(img)
	return img
}

// drawBar draws the disk as one bar, with the names where there is room, and with its
// ends.
func (l Layout) drawBar(img *image.RGBA) {
	x := left
	for _, s := range l.segments(picWidth-2*left, leastBar) {
		box := image.Rect(x, barTop, x+s.width-2, barTop+barHeight)
		fill(img, box, useColours[s.part.Use])
		c := paper
		if s.part.Use == Free {
			outline(img, box, frame)
			c = faint
		}
		room := (s.width - 12) / textWidth(1, 2)
		for i, text := range [...]string{s.part.Name, s.part.Contents, s.part.Label} {
			if r := []rune(cli.Clean(text)); len(r) > 0 && len(r) <= room {
				drawText(img, image.Pt(x+8, barTop+10+i*lineStep), string(r), 2, c)
			}
		}
		x += s.width
	}
	fill(img, image.Rect(left, barTop+barHeight+8, picWidth-left-2, barTop+barHeight+10), frame)
	drawText(img, image.Pt(left, barTop+barHeight+16), "0", 2, faint)
	right(img, picWidth-left, barTop+barHeight+16, progress.Bytes(l.Size), faint)
}

// drawRows writes the table of the parts.
func (l Layout) drawRows(img *image.RGBA) {
	y := rowsTop
	right(img, beginRight, y, "begin", faint)
	right(img, sizeRight, y, "size", faint)
	drawText(img, image.Pt(typeLeft, y), "type", 2, faint)
	drawText(img, image.Pt(contentsLeft, y), "contents", 2, faint)
	drawText(img, image.Pt(labelLeft, y), "label", 2, faint)
	for i, p := range l.Parts {
		y += lineStep
		if i == maxRows {
			drawText(img, image.Pt(nameLeft, y), fmt.Sprintf("and %d more", len(l.Parts)-maxRows), 2, faint)
			return
		}
		swatch := image.Rect(left, y+1, left+24, y+23)
		fill(img, swatch, useColours[p.Use])
		row := p.row()
		drawText(img, image.Pt(nameLeft, y), cut(row[0], nameLeft, nameLeft+70), 2, ink)
		right(img, beginRight, y, row[1], ink)
		right(img, sizeRight, y, row[2], ink)
		drawText(img, image.Pt(typeLeft, y), cut(row[3], typeLeft, contentsLeft), 2, ink)
		drawText(img, image.Pt(contentsLeft, y), cut(row[4], contentsLeft, labelLeft), 2, ink)
		drawText(img, image.Pt(labelLeft, y), cut(row[5], labelLeft, picWidth-left), 2, ink)
	}
}

// cut returns the begin of a text that fits between two columns.
func cut(s string, from, to int) string {
	r := []rune(cli.Clean(s))
	return string(r[:min(len(r), (to-from-6)/textWidth(1, 2))])
}

// drawUses writes the legend at the bottom.
func (l Layout) drawUses(img *image.RGBA) {
	x, y := left, img.Bounds().Dy()-40
	for u := range Uses {
		box := image.Rect(x, y+1, x+24, y+23)
		fill(img, box, useColours[u])
		outline(img, box, frame)
		drawText(img, image.Pt(x+32, y), Use(u).String(), 2, faint)
		x += 32 + textWidth(len(Use(u).String())+2, 2)
	}
}
