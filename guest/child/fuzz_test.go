package child

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"ingest/formats/formattest"
	"ingest/guest/tree"
)

// talk is a child that says what the fuzzer wants, and listens to nothing.
type talk struct {
	io.Reader
	heard int64
}

func (t *talk) Write(p []byte) (int, error) {
	t.heard += int64(len(p))
	return len(p), nil
}

// FuzzServe demands that whatever a child says, its parent reads of the disk and keeps
// of the words no more than the limits allow.
func FuzzServe(f *testing.F) {
	formattest.Seeds(f)
	frame := func(kind byte, n uint32, off uint64, body string) []byte {
		p := make([]byte, frameLen)
		putFrame(p, kind, n, off)
		return append(p, body...)
	}
	f.Add(frame(frameRead, 512, 0, ""))
	f.Add(frame(frameRead, maxAnswer+1, 0, ""))
	f.Add(frame(frameRead, 1, 1<<63, ""))
	f.Add(append(frame(frameRead, 16, 4080, ""), frame(frameList, 17, 0, `{"kernels":["a"]}`)...))
	f.Add(frame(frameList, 1<<31, 0, "{}"))
	f.Add(frame(frameList, 2, 0, "{}"))
	f.Add(frame(frameList, 24, 0, `{"not_inspected":"\u001b"}`))
	disk := bytes.NewReader(make([]byte, 4096))
	f.Fuzz(func(t *testing.T, words []byte) {
		lim := Limits{Output: 64 << 10, Served: 64 << 10, Requests: 100}
		s := &session{Runner: Runner{Limits: lim}, disk: disk, size: 4096, left: lim}
		c := &talk{Reader: bytes.NewReader(words)}
		got, _ := s.serve(c, make([]tree.Volume, 3))
		if len(got) > 3 || c.heard > lim.Served+lim.Requests*4+orderLimit {
			t.Fatalf("%d listings, %d bytes told", len(got), c.heard)
		}
		for _, l := range got {
			clean := l
			clean.Clean()
			if clean.NotInspected != l.NotInspected || len(l.Kernels) > 32 {
				t.Fatalf("not clean: %+v", l)
			}
		}
	})
}

// FuzzOrder demands that a child which is started with nonsense says so.
func FuzzOrder(f *testing.F) {
	formattest.Seeds(f)
	whole := func(body string) []byte {
		return append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body...)
	}
	f.Add(whole(`{"size":1,"volumes":[{"kind":"ext4","offset":0,"length":1}],"limits":{"memory":1}}`))
	f.Add(whole(`null`))
	f.Add(binary.LittleEndian.AppendUint32(nil, orderLimit+1))
	f.Fuzz(func(t *testing.T, p []byte) {
		var o order
		if err := receive(bytes.NewReader(p), &o); err != nil {
			return
		}
		var again bytes.Buffer
		if err := send(&again, o); err != nil {
			t.Fatal(err)
		}
	})
}
