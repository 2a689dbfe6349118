package diskmap

// minCell is the least length of a cell: the sector of every disk format.
const minCell = 512

// maxCells bounds the memory of a grid, whatever the caller asks for.
const maxCells = 1 << 20

// A Grid is the shape of the cells: rows of equal length, filled from guest
// offset 0. The last row may have fewer cells than Columns, and the last cell
// fewer bytes than CellBytes.
type Grid struct {
	Size      int64 // of the disk, bytes
	Columns   int
	CellBytes int64
}

// NewGrid returns the grid with the smallest cells that shows size bytes in at
// most the given columns and rows. The length of a cell is 4, 5, 6 or 7 times a
// power of two, so that rows begin at round offsets if columns is round, and at
// least three quarters of the rows are used by a disk that is long enough.
func NewGrid(size int64, columns, rows int) Grid {
	columns = min(max(columns, 1), maxCells)
	rows = min(max(rows, 1), maxCells/columns)
	need := ceilDiv(size, int64(columns)*int64(rows))
	return Grid{Size: size, Columns: columns, CellBytes: roundUp(need)}
}

// roundUp returns the least k*2^n >= need, k from 4 to 7, and at least minCell.
func roundUp(need int64) int64 {
	// Behind 1<<60 the next step would overflow, and no disk of a signed 64-bit
	// size needs a cell of more than 1<<60 in a grid of 8 cells or more.
	for base := int64(minCell); base <= 1<<60; base <<= 1 {
		for k := int64(4); k < 8; k++ {
			if n := base / 4 * k; n >= need {
				return n
			}
		}
	}
	return need
}

// Len returns the number of cells.
func (g Grid) Len() int { return int(ceilDiv(g.Size, g.CellBytes)) }

// Rows returns the number of rows that hold a cell.
func (g Grid) Rows() int { return int(ceilDiv(int64(g.Len()), int64(g.Columns))) }

// RowOff returns the guest offset at which a row begins.
func (g Grid) RowOff(row int) int64 { return int64(row) * int64(g.Columns) * g.CellBytes }

// ceilDiv returns a/b rounded up, for a >= 0 and b > 0.
func ceilDiv(a, b int64) int64 {
	n := a / b
	if a%b != 0 {
		n++
	}
	return n
}
