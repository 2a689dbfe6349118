package transfer

import (
	"ingest/formats"
	"ingest/internal/binio"
)

// zeroRun is the longest run of zeros that is delivered as one unit, and the
// most that is looked for data at once. Hashing it takes seconds, so that
// progress, a checkpoint and a cancel are never far away.
const zeroRun = 1 << 30

// A stretch is what comes next at a unit border: whole units of zeros, and
// behind them whole units that hold some data, up to dataEnd.
type stretch struct {
	zeros   int64
	dataEnd int64
}

// nextRun looks at the extents from off, a unit border, on. It returns the
// zeros that fill whole units and the units that the first data behind them
// touches.
func nextRun(src formats.Disk, off, to int64) (stretch, error) {
	for e, err := range formats.Extents(src, off, min(to, off+zeroRun)) {
		if err != nil {
			return stretch{}, err
		}
		if e.State != formats.Data {
			continue
		}
		first := e.Off - e.Off%UnitBytes
		end := min(binio.DivCeil(e.End(), UnitBytes)*UnitBytes, to)
		return stretch{zeros: first - off, dataEnd: end}, nil
	}
	return stretch{zeros: min(to, off+zeroRun) - off}, nil
}

// allZero reports whether p holds only zeros.
func allZero(p []byte) bool { return binio.IsZero(p) }

// A Piece is a run of a unit's bytes that is not all zero.
type Piece struct{ Start, End int }

// Pieces cuts p at every zero run that fills a whole aligned grain, so that a
// sparse target stays sparse. It appends to out.
func Pieces(out []Piece, p []byte, grain int) []Piece {
	start := -1
	for i := 0; i < len(p); i += grain {
		end := min(i+grain, len(p))
		switch zero := allZero(p[i:end]); {
		case zero && start >= 0:
			out = append(out, Piece{start, i})
			start = -1
		case !zero && start < 0:
			start = i
		}
	}
	if start >= 0 {
		out = append(out, Piece{start, len(p)})
	}
	return out
}
