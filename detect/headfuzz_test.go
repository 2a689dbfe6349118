package detect_test

import (
	"testing"

	"ingest/detect"
	"ingest/formats"
	"ingest/formats/readers"
	"ingest/internal/errcode"
)

// FuzzHead checks that no file is refused by its first bytes which is accepted
// as a whole: one that begins with the fuzzer's bytes and ends with others of
// them, with zeros between.
func FuzzHead(f *testing.F) {
	for _, p := range pieces() {
		f.Add([]byte(p.bytes), []byte(nil), uint32(1<<20), "")
	}
	for _, end := range []string{"conectix", "koly", endOfZip} {
		f.Add([]byte("QFI\xfb\x00\x00\x00\x03"), []byte(end), uint32(1<<20), "raw")
	}
	d := detect.New(readers.All())
	f.Fuzz(func(t *testing.T, begin, end []byte, gap uint32, declared string) {
		size := int64(len(begin)) + int64(gap%(8<<20)) + int64(len(end))
		g := tailed{grown{begin, size}, end}
		_, disk, err := d.Detect(t.Context(), g, size, detect.Options{Declared: formats.Name(declared), Limits: formats.DefaultLimits()})
		if disk != nil {
			disk.Close()
		}
		for _, n := range []int64{formats.HeadLen, detect.HeadBytes} {
			head := make([]byte, min(n, size))
			g.ReadAt(head, 0)
			for _, told := range []int64{size, -1} {
				rep, refused := d.Head(t.Context(), head, detect.Stream{Size: told, Declared: formats.Name(declared), Limits: formats.DefaultLimits()})
				if rep.Safe || rep.Refused() != (refused != nil) {
					t.Errorf("safe %v, refused %v with %v", rep.Safe, rep.Refused(), refused)
				}
				if refused != nil && err == nil {
					t.Errorf("%d bytes of %d (told %d): refused with %v, and the whole is accepted", n, size, told, refused)
				}
				if errcode.Of(refused) == errcode.Internal {
					t.Errorf("an error without a code: %v", refused)
				}
			}
		}
	})
}

// A tailed file ends with bytes of its own.
type tailed struct {
	grown
	end []byte
}

func (f tailed) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.grown.ReadAt(p, off)
	if tail := f.size - int64(len(f.end)); off+int64(n) > tail {
		for i := max(0, tail-off); i < int64(n); i++ {
			p[i] = f.end[off+i-tail]
		}
	}
	return n, err
}
