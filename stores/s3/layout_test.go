package s3

import (
	"math/rand/v2"
	"testing"
)

func TestLayoutCoversEveryByteOnce(t *testing.T) {
	for name, l := range map[string]layout{
		"growing": growing(), "even": even(5 << 20), "5 TiB": layoutFor(5<<40, 0), "fixed": layoutFor(-1, 64<<20), "100 GiB": layoutFor(100<<30, 0),
	} {
		var off int64
		count := 0
		for _, s := range l {
			count += s.Count
		}
		if count > maxParts {
			t.Errorf("%s: %d parts", name, count)
		}
		for n := range count {
			start, end := l.bounds(n)
			if start != off || end-start != l.sizeOf(n) || end-start < minPart || end-start > maxPart {
				t.Fatalf("%s: part %d is [%d, %d), want it at %d", name, n, start, end, off)
			}
			for _, at := range []int64{start, start + 1, end - 1} {
				if i, s, e, err := l.at(at); i != n || s != start || e != end || err != nil {
					t.Fatalf("%s: offset %d lies in part %d [%d, %d), %v; want %d", name, at, i, s, e, err, n)
				}
			}
			off = end
		}
		if off != l.max() {
			t.Errorf("%s: the largest object is said to be %d bytes, and is %d", name, l.max(), off)
		}
		if _, _, _, err := l.at(off); err == nil {
			t.Errorf("%s: an offset behind the last part is taken", name)
		}
	}
	if got := layoutFor(5<<40, 0).max(); got < 5<<40 {
		t.Errorf("an object of 5 TiB does not fit: %d", got)
	}
	if got := growing().max(); got < 700<<30 {
		t.Errorf("an object of unknown size has at most %d bytes", got)
	}
}

// Between two checkpoints of a copy 12 MiB are written: parts of a size that is known
// are not much larger for as long as 10,000 of them are enough, and never larger than
// where nothing is known.
func TestKnownSizesHaveSmallParts(t *testing.T) {
	for _, size := range []int64{0, 1, 31 << 30, 39 << 30, 40 << 30, 78 << 30, 79 << 30, 150 << 30, 195 << 30, 200 << 30, 700 << 30} {
		l, grown := layoutFor(size, 0), growing()
		if l.max() < size {
			t.Errorf("%d bytes: the layout holds %d", size, l.max())
		}
		for off := int64(0); off < size; off += 1 << 30 {
			_, start, end, err := l.at(off)
			_, a, b, err2 := grown.at(off)
			if err != nil || err2 != nil || end-start > b-a || size <= 78<<30 && end-start != 8<<20 {
				t.Fatalf("%d bytes: the part at %d has %d, %d where nothing is known, %v %v", size, off, end-start, b-a, err, err2)
			}
		}
	}
}

// TestRuns compares a set of bytes with a plain slice of flags.
func TestRuns(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var set runs
		flags := make([]bool, 100)
		for range 1 + r.IntN(20) {
			off := r.IntN(100)
			end := off + r.IntN(100-off+1)
			set = set.add(int64(off), int64(end))
			for i := off; i < end; i++ {
				flags[i] = true
			}
		}
		var have int64
		for i, want := range flags {
			in := false
			for j, x := range set {
				in = in || (x.Off <= int64(i) && int64(i) < x.End)
				if j > 0 && set[j-1].End >= x.Off {
					t.Fatalf("runs touch: %v", set)
				}
			}
			if in != want {
				t.Fatalf("byte %d: %v, want %v in %v", i, in, want, set)
			}
			if in {
				have++
			}
		}
		if set.bytes() != have || set.whole(0, 100) != (have == 100) {
			t.Fatalf("%v has %d bytes", set, have)
		}
	}
}
