package pipeline

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand"
	"sync"
	"testing"

	"ingest/formats/raw"
	"ingest/formats/transfer"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/stores"
	"ingest/stores/mem"
)

const resumedKey = "11111111-1111-4111-8111-111111111111/22222222-2222-4222-8222-222222222222"

// TestSumsOfOtherBytesTheSecondTime has a source give zeros to the attempt that goes on,
// where it gave others to the one before: behind what that one had noted its bytes stay.
// The digest that is recorded is of what is stored.
func TestSumsOfOtherBytesTheSecondTime(t *testing.T) {
	first := make([]byte, 4*transfer.UnitBytes)
	rand.New(rand.NewSource(7)).Read(first)
	second := bytes.Clone(first)
	clear(second[2*transfer.UnitBytes:])
	p := &Pipeline{HashAlgo: "sha256", Workers: 1, CheckpointEvery: 1}
	target := contract.TargetSpec{Format: "raw"}
	up, err := mem.New("m").Begin(t.Context(), resumedKey, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	last := &awaited{Upload: up, from: 3 * transfer.UnitBytes, written: make(chan struct{})}
	stuck := cutSource{bytes.NewReader(first), 2 * transfer.UnitBytes, last.written}
	if _, err := p.writeDisks(t.Context(), raw.New(stuck, int64(len(first))), target, last, work{hash: true}, nil); err == nil {
		t.Fatal("a source that breaks off is written whole")
	}
	if len(up.Note()) == 0 {
		t.Fatal("nothing was noted that could be gone on with")
	}
	out, err := p.writeDisks(t.Context(), raw.New(bytes.NewReader(second), int64(len(second))), target, up, work{hash: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Seal(t.Context(), out.Size); err != nil {
		t.Fatal(err)
	}
	stored := hashOf(t, up, out.Size)
	if out.Sums == nil || out.Sums.HashValue == stored {
		t.Fatalf("nothing of the first attempt is left: %+v", out.Sums)
	}
	if got, err := p.ReadBack(t.Context(), up, target, out, contract.VerifyNone, nil, nil); err != nil || got.HashValue != stored {
		t.Errorf("recorded %s, %v, stored are the bytes of %s", got.HashValue, err, stored)
	}
	if _, err := p.ReadBack(t.Context(), up, target, out, contract.VerifyFull, nil, nil); errcode.Of(err) != errcode.VerifyMismatch {
		t.Errorf("a mixture of two sources verifies: %v", err)
	}
}

// TestSumsOfAnotherAttemptsAlgorithm has attempts of servers that take other digests take
// turns: what one left in the note is not gone on with behind the bytes of another.
func TestSumsOfAnotherAttemptsAlgorithm(t *testing.T) {
	disk := make([]byte, 9*transfer.UnitBytes)
	rand.New(rand.NewSource(8)).Read(disk)
	up, err := mem.New("m").Begin(t.Context(), resumedKey, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	target, now := contract.TargetSpec{Format: "raw"}, make(chan struct{})
	close(now)
	for _, c := range []struct {
		algo string
		cut  int64
	}{{"sha256", 3}, {"sha512", 6}} {
		p := &Pipeline{HashAlgo: c.algo, Workers: 1, CheckpointEvery: 1}
		source := cutSource{bytes.NewReader(disk), c.cut * transfer.UnitBytes, now}
		if _, err := p.writeDisks(t.Context(), raw.New(source, int64(len(disk))), target, up, work{hash: true}, nil); err == nil {
			t.Fatal("a source that breaks off is written whole")
		}
	}
	p := &Pipeline{HashAlgo: "sha256"}
	out, err := p.writeDisks(t.Context(), raw.New(bytes.NewReader(disk), int64(len(disk))), target, up, work{hash: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Seal(t.Context(), out.Size); err != nil {
		t.Fatal(err)
	}
	stored := hashOf(t, up, out.Size)
	for _, level := range contract.VerifyLevels() {
		if got, err := p.ReadBack(t.Context(), up, target, out, level, nil, nil); err != nil || got.HashValue != stored {
			t.Errorf("%s: recorded %s, %v, stored are the bytes of %s", level, got.HashValue, err, stored)
		}
	}
}

// awaited says when something was written at from or behind it.
type awaited struct {
	stores.Upload
	from    int64
	once    sync.Once
	written chan struct{}
}

func (u *awaited) WriteAt(p []byte, off int64) (int, error) {
	n, err := u.Upload.WriteAt(p, off)
	if off >= u.from {
		u.once.Do(func() { close(u.written) })
	}
	return n, err
}

// cutSource breaks off in the unit at cut, not before the channel is closed.
type cutSource struct {
	io.ReaderAt
	cut   int64
	ready <-chan struct{}
}

func (s cutSource) ReadAt(p []byte, off int64) (int, error) {
	if off >= s.cut && off < s.cut+transfer.UnitBytes {
		<-s.ready
		return 0, errCut
	}
	return s.ReaderAt.ReadAt(p, off)
}

func hashOf(t *testing.T, up stores.Upload, size int64) string {
	t.Helper()
	r, err := up.ReaderAt()
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(r, 0, size)); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}
