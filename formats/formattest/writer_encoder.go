package formattest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"ingest/formats"
	"ingest/internal/imgtest"
)

// attempts is how many times Resumes writes the disk, and crashes how
// often each of them dies at the most.
const (
	attempts = 4
	crashes  = 5
)

// Resumes kills the encoder at random bytes of its output, in the head too, and
// resumes it from the last checkpoint over what the crash has left, again and
// again: the output must be that of an undisturbed run.
func (w WriterSpec) Resumes(t *testing.T, disk *imgtest.Disk) {
	offered := 0
	full, sum := Record(t, w.Encoder(2), disk, func() bool { offered++; return false })
	if offered < 3 {
		t.Fatalf("%d checkpoints are offered for %d bytes", offered, disk.Size())
	}
	resumes := 0
	for seed := range uint64(attempts) {
		rng := rand.New(rand.NewPCG(seed, 9))
		e := w.Encoder(1 + int(seed)%3)
		r, from := NewRecorder(t, e, disk), formats.Checkpoint{}
		for life := 0; ; life++ {
			r.Keep = func() bool { return rng.IntN(3) == 0 }
			if left := int64(len(full.Bytes)) - r.pos + r.head; life < crashes && left > 0 {
				r.crash = rng.Int64N(left)
			}
			got, err := e.Encode(t.Context(), r, disk, from)
			if err == nil {
				r.seal(got)
				if got != sum || !r.Done() || !bytes.Equal(r.Bytes, full.Bytes) {
					t.Fatalf("seed %d: after %d crashes the output differs: %+v, want %+v", seed, life, got, sum)
				}
				break
			}
			if !errors.Is(err, errCrash) {
				t.Fatalf("seed %d: encode: %v, want the sink's error", seed, err)
			}
			if n := len(r.Taken); n > 0 {
				from = r.Taken[n-1]
			}
			if from.Off > 0 {
				resumes++
			}
			r = r.Resumed(from)
		}
	}
	if resumes == 0 {
		t.Fatal("no crash came after a checkpoint")
	}
}

// checkForeign starts the encoder from checkpoints that do not fit.
func (w WriterSpec) checkForeign(t *testing.T, disk *imgtest.Disk) {
	e := w.Encoder(2)
	full, sum := Record(t, e, disk, func() bool { return true })
	if len(full.Taken) == 0 {
		t.Fatal("no checkpoint")
	}
	other, _ := Record(t, e, imgtest.Random(43, disk.Size()+1<<20, disk.Size()/2), func() bool { return true })
	good := full.Taken[len(full.Taken)/2]
	table := map[string]formats.Checkpoint{
		"another codec":         {Codec: good.Codec + "x", Off: good.Off, HostOff: good.HostOff, State: good.State},
		"no codec":              {Off: good.Off, HostOff: good.HostOff, State: good.State},
		"offset too large":      {Codec: good.Codec, Off: other.Taken[len(other.Taken)-1].Off + 1<<30, HostOff: good.HostOff, State: good.State},
		"negative offset":       {Codec: good.Codec, Off: -good.Off, HostOff: good.HostOff, State: good.State},
		"within a unit":         {Codec: good.Codec, Off: good.Off - 1, HostOff: good.HostOff, State: good.State},
		"a larger disk's":       other.Taken[len(other.Taken)-1],
		"a larger disk's first": other.Taken[0],
	}
	if len(good.State) > 0 {
		table["no state"] = formats.Checkpoint{Codec: good.Codec, Off: good.Off, HostOff: good.HostOff}
		table["cut"] = formats.Checkpoint{Codec: good.Codec, Off: good.Off, HostOff: good.HostOff, State: good.State[:len(good.State)-1]}
	}
	for name, cp := range table {
		t.Run(name, func(t *testing.T) {
			r := NewRecorder(t, e, disk)
			got, err := e.Encode(t.Context(), r, disk, cp)
			r.seal(got)
			if err != nil || got != sum || !bytes.Equal(r.Bytes, full.Bytes) {
				t.Errorf("encode: %+v, %v; want a start from the beginning and %+v", got, err, sum)
			}
		})
	}
}

// checkEncoderFails encodes a source that breaks at its last data.
func (w WriterSpec) checkEncoderFails(t *testing.T, disk *imgtest.Disk) {
	t.Helper()
	last := lastData(disk)
	if last < 0 {
		return
	}
	e := w.Encoder(2)
	r := NewRecorder(t, e, disk)
	if _, err := e.Encode(t.Context(), r, cut{disk, last}, formats.Checkpoint{}); !errors.Is(err, errCut) {
		t.Errorf("encode a broken source: %v, want its error", err)
	}
	if r.hpos > 0 {
		t.Error("the head of a broken source's image was written")
	}
}
