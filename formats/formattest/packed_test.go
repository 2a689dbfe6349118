package formattest

import (
	"bytes"
	"compress/flate"
	"io"
	"testing"

	"ingest/formats"
	"ingest/internal/imgtest"
)

// squeezed is a disk whose bytes are stored as raw deflate streams of 4 KiB each,
// one behind the other.
type squeezed struct {
	*imgtest.Disk
	file []byte
	ends []int64
	// change, if set, makes an answer wrong.
	change func(p *formats.Packed)
}

func squeeze(t *testing.T, d *imgtest.Disk) *squeezed {
	t.Helper()
	s := &squeezed{Disk: d}
	var out bytes.Buffer
	for off := int64(0); off < d.Size(); off += 4096 {
		w, err := flate.NewWriter(&out, flate.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, io.NewSectionReader(d, off, 4096)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		s.ends = append(s.ends, int64(out.Len()))
	}
	s.file = out.Bytes()
	return s
}

func (s *squeezed) Info() formats.Info {
	info := s.Disk.Info()
	info.FileSize = int64(len(s.file))
	return info
}

func (s *squeezed) ExtentAt(off int64) (formats.Extent, error) {
	if _, err := s.Disk.ExtentAt(off); err != nil {
		return formats.Extent{}, err
	}
	return formats.Extent{Len: s.Size(), Compressed: true, HostOff: -1}, nil
}

func (s *squeezed) PackedAt(off int64) (formats.Packed, bool, error) {
	if _, err := s.Disk.ExtentAt(off); err != nil {
		return formats.Packed{}, false, err
	}
	i := off / 4096
	p := formats.Packed{Off: i * 4096, Len: min(4096, s.Size()-i*4096), Size: 4096, HostLen: s.ends[i], Codec: formats.CodecDeflate}
	if i > 0 {
		p.HostOff, p.HostLen = s.ends[i-1], s.ends[i]-s.ends[i-1]
	}
	if s.change != nil {
		s.change(&p)
	}
	return p, true, nil
}

func (s *squeezed) ReadHost(buf []byte, hostOff int64) error {
	if hostOff < 0 || hostOff > int64(len(s.file)-len(buf)) {
		return io.ErrUnexpectedEOF
	}
	copy(buf, s.file[hostOff:])
	return nil
}

func (s *squeezed) Stream(p formats.Packed, stored []byte) ([]byte, error) {
	if int64(len(stored)) != p.HostLen {
		return nil, io.ErrUnexpectedEOF
	}
	return stored, nil
}

func TestReaderAcceptsPackedRuns(t *testing.T) {
	s := squeeze(t, imgtest.New(300<<10+512, 1, imgtest.Run{Off: 0, Len: 300<<10 + 512, Kind: imgtest.Text}))
	Reader(t, Spec{Open: func(testing.TB) formats.Disk { return s }, File: bytes.NewReader(s.file), Want: s.Disk})
}

func TestWrongPackedRunsAreSeen(t *testing.T) {
	for name, change := range map[string]func(p *formats.Packed){
		"right":                  nil,
		"stream of another run":  func(p *formats.Packed) { p.HostOff++ },
		"stream too short":       func(p *formats.Packed) { p.HostLen -= 3 },
		"other codec":            func(p *formats.Packed) { p.Codec = formats.CodecZlib },
		"no codec":               func(p *formats.Packed) { p.Codec = formats.CodecNone },
		"behind the disk's end":  func(p *formats.Packed) { p.Len = p.Size },
		"longer than the stream": func(p *formats.Packed) { p.Size *= 2; p.Len *= 2 },
		"not where asked":        func(p *formats.Packed) { p.Off += 4096 },
		"outside the file":       func(p *formats.Packed) { p.HostOff = 1 << 40 },
		"empty":                  func(p *formats.Packed) { p.HostLen = 0 },
	} {
		s := squeeze(t, imgtest.New(20<<10+512, 1, imgtest.Run{Off: 0, Len: 20<<10 + 512, Kind: imgtest.Text}))
		s.change = change
		_, err := packedExtent(Spec{File: bytes.NewReader(s.file), Want: s.Disk}, s, s, formats.Extent{Len: s.Size(), Compressed: true}, 100)
		if (err == nil) != (change == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := squeeze(t, imgtest.New(20<<10, 1, imgtest.Run{Off: 0, Len: 20 << 10, Kind: imgtest.Text}))
	s.file = bytes.Clone(s.file)
	at := Spec{File: bytes.NewReader(bytes.Clone(s.file)), Want: s.Disk}
	s.file[len(s.file)/2] ^= 4
	if _, err := packedExtent(at, s, s, formats.Extent{Len: s.Size(), Compressed: true}, 100); err == nil {
		t.Error("bytes that are not the file's are not seen")
	}
}
