package diskmap

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"

	"ingest/internal/cli"
	"ingest/internal/progress"
)

// The picture, in pixels.
const (
	picWidth, picHeight = 1200, 800

	left     = 20  // of everything
	mapLeft  = 156 // of the cells, behind the labels
	mapTop   = 128
	mapWidth = 1024
	mapRows  = 416 // height of the cells
	tableTop = mapTop + mapRows + 26
	lineStep = 30 // from line to line of the table
)

// labelEvery is how far apart the labels of the axis are at least.
const labelEvery = 40

// pitches are the sizes of a cell, with its gap. A disk of few sectors gets the
// larger ones.
var pitches = [...]int{8, 16, 32}

// PictureGrid returns how many columns and rows of cells the picture of a disk
// has.
func PictureGrid(size int64) (columns, rows int) {
	for _, p := range pitches {
		columns, rows = mapWidth/p, mapRows/p
		if int64(columns)*int64(rows)*minCell <= size {
			break
		}
	}
	return columns, rows
}

// pitch returns the size of a cell of the map, with its gap.
func (m *Map) pitch() int { return max(mapWidth/m.Grid.Columns, 2) }

// cellRect returns where the cell with the given index is drawn.
func (m *Map) cellRect(i int) image.Rectangle {
	p := m.pitch()
	at := image.Pt(mapLeft+i%m.Grid.Columns*p, mapTop+i/m.Grid.Columns*p)
	return image.Rectangle{at, at.Add(image.Pt(p-1, p-1))}
}

// WritePNG writes the map as a picture in PNG. It must be made with the columns
// and rows of PictureGrid.
func (m *Map) WritePNG(w io.Writer) error {
	enc := png.Encoder{CompressionLevel: png.BestCompression}
	return enc.Encode(w, m.Draw())
}

// Draw draws the map. It must be made with the columns and rows of PictureGrid.
func (m *Map) Draw() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, picWidth, picHeight))
	fill(img, img.Bounds(), paper)
	m.drawTitle(img)
	m.drawAxis(img)
	for i, c := range m.Cells {
		fill(img, m.cellRect(i), c.Colour())
	}
	m.drawTable(img)
	m.drawNotes(img)
	return img
}

func fill(img draw.Image, r image.Rectangle, c color.RGBA) {
	draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Src)
}

// drawTitle writes the name, and what the disk is.
func (m *Map) drawTitle(img *image.RGBA) {
	name := shorten(cli.Clean(m.Source), (picWidth-2*left)/textWidth(1, 3))
	for dx := range 2 { // bold
		drawText(img, image.Pt(left+dx, 22), name, 3, ink)
	}
	line := fmt.Sprintf("%s   virtual size %s   file size %s   one square is %s",
		m.kind(), progress.Bytes(m.Size), progress.Bytes(m.FileSize), offsetLabel(m.Grid.CellBytes))
	drawText(img, image.Pt(left, 78), shorten(line, (picWidth-2*left)/textWidth(1, 2)), 2, faint)
}

// shorten cuts the begin of a text of more than n characters: the end of a path
// tells more.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return "..." + string(r[len(r)-n+3:])
}

// drawAxis writes guest offsets at the left, with a tick at their row, and a
// line along the cells.
func (m *Map) drawAxis(img *image.RGBA) {
	p := m.pitch()
	step := (labelEvery + p - 1) / p
	// A power of two of rows keeps the offsets round.
	for n := 1; ; n *= 2 {
		if n >= step {
			step = n
			break
		}
	}
	for i, s := range m.Grid.axis(step) {
		y := mapTop + i*step*p
		drawText(img, image.Pt(mapLeft-16-textWidth(len(s), 2), y-7), s, 2, faint)
		fill(img, image.Rect(mapLeft-12, y, mapLeft-3, y+2), frame)
	}
	fill(img, image.Rect(mapLeft-5, mapTop, mapLeft-3, mapTop+max(m.Grid.Rows()*p-1, 1)), frame)
}

// tableColumns are the right edges of the table's columns behind the names.
var tableColumns = [...]int{360, 490, 620, 770, 920}

// drawTable writes the totals; the swatches before the names are the legend.
func (m *Map) drawTable(img *image.RGBA) {
	for i, head := range [...]string{"bytes", "share", "extents", "average", "largest"} {
		right(img, tableColumns[i], tableTop, head, faint)
	}
	y := tableTop + lineStep
	for i, row := range m.Totals.rows() {
		if i < Classes {
			fill(img, swatch(i), classColours[i])
			outline(img, swatch(i), frame)
		} else {
			fill(img, image.Rect(left, y, tableColumns[len(tableColumns)-1], y+1), frame)
			y += 6
		}
		drawText(img, image.Pt(left+36, y), row[0], 2, ink)
		for j, cell := range row[1:] {
			right(img, tableColumns[j], y, cell, ink)
		}
		y += lineStep
	}
}

// swatch returns the place of a class's colour in the legend.
func swatch(class int) image.Rectangle {
	y := tableTop + (class+1)*lineStep
	return image.Rect(left, y+1, left+24, y+23)
}

func outline(img draw.Image, r image.Rectangle, c color.RGBA) {
	for _, edge := range [...]image.Rectangle{
		image.Rect(r.Min.X, r.Min.Y, r.Max.X, r.Min.Y+1), image.Rect(r.Min.X, r.Max.Y-1, r.Max.X, r.Max.Y),
		image.Rect(r.Min.X, r.Min.Y, r.Min.X+1, r.Max.Y), image.Rect(r.Max.X-1, r.Min.Y, r.Max.X, r.Max.Y),
	} {
		fill(img, edge, c)
	}
}

func right(img *image.RGBA, x, y int, s string, c color.RGBA) {
	drawText(img, image.Pt(x-textWidth(len(s), 2), y), s, 2, c)
}

// The scale of mixed cells, at the right of the table.
const (
	scaleLeft  = 976
	scaleRight = mapLeft + mapWidth
	scaleSteps = 12
)

// drawNotes explains mixed cells, and how the file is laid out.
func (m *Map) drawNotes(img *image.RGBA) {
	drawText(img, image.Pt(scaleLeft, tableTop), "mixed squares", 2, faint)
	y := tableTop + lineStep
	for _, class := range [...]Class{Data, Compressed, Zero} {
		drawScale(img, y, class)
		y += lineStep
	}
	drawText(img, image.Pt(scaleLeft, y), "a trace", 2, faint)
	right(img, scaleRight, y, "all", faint)
	y = tableTop + 6*lineStep + 20
	note := m.Totals.order()
	if !m.HolesKnown {
		note = unknownHoles
	}
	drawText(img, image.Pt(left, y), note, 2, faint)
}

// drawScale shows holes with more and more of a class, as cells are drawn.
func drawScale(img draw.Image, y int, class Class) {
	const parts = scaleSteps - 1
	width := (scaleRight - scaleLeft) / scaleSteps
	for i := range int64(scaleSteps) {
		c := Cell{Hole: parts * 1024}
		// The first step holds the least that there is.
		c[class] = max(i*1024, 1)
		c[Hole] -= c[class]
		x := scaleLeft + int(i)*width
		fill(img, image.Rect(x, y+1, x+width-1, y+23), c.Colour())
	}
}
