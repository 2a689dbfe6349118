package zstandard

// A coder chooses and keeps the table of one of the three alphabets.
type coder struct {
	counts     [64]uint32
	own, given fseTable
	rle        fseTable
	use        *fseTable
	mode       uint64
	symbol     uint8
}

func (c *coder) init(norm []int16, log uint) {
	copy(c.given.norm[:], norm)
	c.given.log = log
	c.given.build()
}

// choose takes the table that is shortest with its description.
func (c *coder) choose(total uint32, alphabet int, most uint) {
	kinds, last := 0, 0
	for s, n := range c.counts[:alphabet] {
		if n > 0 {
			kinds++
			last = s
		}
	}
	counts := c.counts[:last+1]
	if kinds == 1 {
		c.rle.constant(uint8(last))
		c.use, c.mode, c.symbol = &c.rle, modeRLE, uint8(last)
		return
	}
	c.own.normalize(counts, total, optimalLog(total, last, most))
	given, own := c.given.cost(counts), c.own.cost(counts)+uint64(c.own.describedBits())<<8
	if given <= own {
		c.use, c.mode = &c.given, modePredefined
		return
	}
	c.own.build()
	c.use, c.mode = &c.own, modeFSE
}

func (c *coder) describe(w *bitWriter) {
	switch c.mode {
	case modeRLE:
		w.put(uint64(c.symbol), 8)
	case modeFSE:
		c.own.describe(w)
		w.align()
	}
}
