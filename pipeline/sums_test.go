package pipeline

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"
	"math/rand"
	"testing"
	"time"

	"ingest/formats/raw"
	"ingest/formats/transfer"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/stores"
	"ingest/stores/mem"
)

// TestSumsOnTheWay holds the digests that are taken while a raw image is written
// against those of its bytes, after an interruption at every checkpoint, and has
// bytes that were changed behind them found out.
func TestSumsOnTheWay(t *testing.T) {
	disk := bytes.Repeat([]byte{0}, 29*transfer.UnitBytes+512)
	rand.New(rand.NewSource(5)).Read(disk[transfer.UnitBytes : 4*transfer.UnitBytes])
	rand.New(rand.NewSource(6)).Read(disk[17*transfer.UnitBytes:])
	p := &Pipeline{HashAlgo: "sha512", MD5: true, Workers: 1, CheckpointEvery: time.Hour}
	target := contract.TargetSpec{Format: "raw"}
	store := mem.New("m")
	begun, err := store.Begin(t.Context(), "11111111-1111-4111-8111-111111111111/22222222-2222-4222-8222-222222222222", -1)
	if err != nil {
		t.Fatal(err)
	}
	defer begun.Close()
	up := &cutUpload{Upload: begun}
	var out contract.Converted
	for round := 0; ; round++ {
		up.left = 1 // marks until the next interruption
		out, err = p.writeDisks(t.Context(), raw.New(bytes.NewReader(disk), int64(len(disk))), target, up, work{hash: true}, nil)
		if err == nil {
			if round < 2 {
				t.Fatalf("%d interruptions, so that nothing was taken up", round)
			}
			break
		}
		if !errors.Is(err, errCut) {
			t.Fatal(err)
		}
	}
	long, short := sha512.Sum512(disk), md5.Sum(disk)
	if out.Sums == nil || out.Sums.HashAlgo != "sha512" || out.Sums.HashValue != hex.EncodeToString(long[:]) || out.Sums.Checksum != hex.EncodeToString(short[:]) {
		t.Fatalf("sums on the way: %+v", out.Sums)
	}
	if err := begun.Seal(t.Context(), out.Size); err != nil {
		t.Fatal(err)
	}
	for _, level := range contract.VerifyLevels() {
		got, err := p.ReadBack(t.Context(), begun, target, out, level, nil, nil)
		if err != nil || got.HashValue != out.Sums.HashValue || got.Checksum != out.Sums.Checksum {
			t.Errorf("%s: %+v, %v", level, got, err)
		}
		_, err = p.ReadBack(t.Context(), tampered{begun}, target, out, level, nil, nil)
		if want := errcode.VerifyMismatch; level != contract.VerifyNone && errcode.Of(err) != want {
			t.Errorf("%s of other bytes: %v, want %s", level, err, want)
		}
	}
	// Another algorithm is taken from what is stored.
	other := &Pipeline{HashAlgo: "sha256"}
	plain := out
	plain.Sums = nil
	want, err := other.ReadBack(t.Context(), begun, target, plain, contract.VerifyFull, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := other.ReadBack(t.Context(), begun, target, out, contract.VerifyFull, nil, nil); err != nil || got != want {
		t.Errorf("another algorithm: %+v, %v, want %+v", got, err, want)
	}
}

var errCut = errors.New("cut")

// cutUpload has marks, and fails from one of them on, behind its work.
type cutUpload struct {
	stores.Upload
	left int
}

func (u *cutUpload) Mark(ctx context.Context, note []byte) error {
	if err := u.Checkpoint(ctx, note); err != nil {
		return err
	}
	if u.left--; u.left < 0 {
		return errCut
	}
	return nil
}

// changed gives one other byte back than were stored.
type tampered struct{ stores.Upload }

func (u tampered) ReaderAt() (io.ReaderAt, error) {
	r, err := u.Upload.ReaderAt()
	return otherByte{r}, err
}

type otherByte struct{ io.ReaderAt }

func (r otherByte) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	if at := int64(3*transfer.UnitBytes + 77); at >= off && at < off+int64(n) {
		p[at-off] ^= 1
	}
	return n, err
}
