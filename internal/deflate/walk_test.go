package deflate

import "errors"

// A walker reads a bare stream slowly, as RFC 1951 section 3.2 describes it, to learn
// what inflaters do not tell.
type walker struct {
	p       []byte
	at      int // bits
	size    int // bytes that came out
	far     int // the largest distance
	blocks  [3]int
	deepest int // the longest code of a literal or length
}

var errEnd = errors.New("stream ends")

func (w *walker) take(n int) int {
	v := 0
	for i := range n {
		if w.at>>3 >= len(w.p) {
			panic(errEnd)
		}
		v |= int(w.p[w.at>>3]>>(w.at&7)&1) << i
		w.at++
	}
	return v
}

type slowCode map[[2]int]int // length and code: symbol

func slowCodes(lengths []int) slowCode {
	c, code := slowCode{}, 0
	for l := 1; l <= 15; l++ {
		for s, n := range lengths {
			if n == l {
				c[[2]int{l, code}] = s
				code++
			}
		}
		code <<= 1
	}
	return c
}

func (w *walker) symbol(c slowCode) int {
	for l, code := 1, 0; l <= 15; l++ {
		code = code<<1 | w.take(1)
		if s, ok := c[[2]int{l, code}]; ok {
			return s
		}
	}
	panic(errors.New("no code"))
}

// walk reads blocks up to the last one, or, if the stream has none, to its end.
func (w *walker) walk() (err error) {
	defer func() {
		if e := recover(); e != nil {
			err = e.(error)
		}
	}()
	for {
		last, kind := w.take(1), w.take(2)
		w.blocks[kind]++
		switch kind {
		case 0:
			w.at = (w.at + 7) &^ 7
			n := w.take(16)
			w.take(16)
			w.at += 8 * n
			w.size += n
		case 1:
			var l [288]int
			for s := range l {
				switch {
				case s < 144 || s >= 280:
					l[s] = 8
				case s < 256:
					l[s] = 9
				default:
					l[s] = 7
				}
			}
			var d [30]int
			for s := range d {
				d[s] = 5
			}
			w.block(slowCodes(l[:]), slowCodes(d[:]))
		default:
			w.dynamic()
		}
		if last == 1 || w.at == 8*len(w.p) {
			return nil
		}
	}
}

func (w *walker) dynamic() {
	nl, nd, np := w.take(5)+257, w.take(5)+1, w.take(4)+4
	pre := make([]int, 19)
	for _, s := range preOrder[:np] {
		pre[s] = w.take(3)
	}
	c := slowCodes(pre)
	var l []int
	for len(l) < nl+nd {
		s, v, n := w.symbol(c), 0, 1
		switch s {
		case 16:
			v, n = l[len(l)-1], 3+w.take(2)
		case 17:
			n = 3 + w.take(3)
		case 18:
			n = 11 + w.take(7)
		default:
			v = s
		}
		for range n {
			l = append(l, v)
		}
	}
	for _, n := range l[:nl] {
		w.deepest = max(w.deepest, n)
	}
	w.block(slowCodes(l[:nl]), slowCodes(l[nl:]))
}

func (w *walker) block(litlen, dist slowCode) {
	for {
		s := w.symbol(litlen)
		switch {
		case s < 256:
			w.size++
			continue
		case s == 256:
			return
		}
		length := 258
		if s -= 257; s < 8 {
			length = 3 + s
		} else if s < 28 {
			extra := s/4 - 1
			length = 3 + (4+s&3)<<extra + w.take(extra)
		}
		d := w.symbol(dist)
		far := 1 + d
		if d >= 4 {
			extra := d/2 - 1
			far = 1 + (2+d&1)<<extra + w.take(extra)
		}
		if far > w.size {
			panic(errors.New("a distance beyond the begin"))
		}
		w.size += length
		w.far = max(w.far, far)
	}
}
