package formattest

import (
	"testing"

	"ingest/formats"
	"ingest/internal/imgtest"
)

func TestReaderAcceptsTheModelItself(t *testing.T) {
	for _, c := range imgtest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			Reader(t, Spec{Open: func(testing.TB) formats.Disk { return c.Disk }, Want: c.Disk})
		})
	}
}

// shifted is a disk that is wrong in one byte.
type shifted struct {
	formats.Disk
	at int64
}

func (d shifted) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.Disk.ReadAt(p, off)
	if i := d.at - off; i >= 0 && i < int64(n) {
		p[i] ^= 1
	}
	return n, err
}

func TestOneWrongByteIsSeen(t *testing.T) {
	d := imgtest.Random(1, 1<<20, 1<<19)
	s := Spec{Want: d}
	if err := compare(s, d, 1000, 5000); err != nil {
		t.Errorf("equal bytes differ: %v", err)
	}
	if err := compare(s, shifted{d, 5999}, 1000, 5000); err == nil {
		t.Error("a wrong byte is not seen")
	}
	if err := randomly(s, shifted{d, 500_000}, 1, 400); err == nil {
		t.Error("400 random reads do not meet a wrong byte")
	}
}

func TestMutations(t *testing.T) {
	good := []byte{1, 2, 3, 4}
	if got := Set(-2, 9)(append([]byte(nil), good...)); string(got) != "\x01\x02\x09\x04" {
		t.Errorf("set: %v", got)
	}
	if got := Cut(1)(good); len(got) != 3 {
		t.Errorf("cut: %v", got)
	}
}
