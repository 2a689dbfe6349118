package pipeline

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"time"

	"ingest/formats"
	"ingest/formats/content"
	"ingest/formats/raw"
	"ingest/formats/transfer"
	"ingest/internal/binio"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/stores"
)

// Checksum seals the upload and reads it back.
func (p *Pipeline) Checksum(ctx context.Context, c contract.ChecksumParams, resume []byte, o Observe) (contract.Checksummed, error) {
	store, err := p.store(c.Converted.Store)
	if err != nil {
		return contract.Checksummed{}, err
	}
	up, err := store.Resume(ctx, c.Converted.UploadID)
	if err != nil {
		return contract.Checksummed{}, err
	}
	defer up.Close()
	if err := up.Seal(ctx, c.Converted.Size); err != nil {
		return contract.Checksummed{}, err
	}
	out, err := p.ReadBack(ctx, up, c.Target, c.Converted, p.verifyPolicy().AtLeast(c.Verify), resume, o)
	if err == nil {
		err = asFetched(c, out)
	}
	return out, err
}

// ReadBack takes the stored digests of a sealed upload, and proves what the
// level says. That of contract.VerifyFull: what is in it is the source's content,
// the digest of the source's length of guest bytes, zeros beyond.
func (p *Pipeline) ReadBack(ctx context.Context, up stores.Upload, t contract.TargetSpec, c contract.Converted, level string, resume []byte, o Observe) (contract.Checksummed, error) {
	if o == nil {
		o = ignore
	}
	r, err := up.ReaderAt()
	if err != nil {
		return contract.Checksummed{}, err
	}
	rb := newReadback(p, r, t, c, level, o)
	if rb.trailed() {
		rb.o(rb.total(), rb.total(), nil)
		return rb.result(), nil
	}
	rb.restore(resume)
	if err := rb.stored(ctx); err != nil {
		return contract.Checksummed{}, err
	}
	if err := rb.content(ctx); err != nil {
		return contract.Checksummed{}, err
	}
	return rb.result(), nil
}

// A readback is one pass over the sealed bytes, and for a target that is not
// raw a second one over the guest's bytes in them.
//
// The first pass takes the stored digest, which is Glance's os_hash_value. It cannot
// be taken while a target is written whose tables come before the data, or whose
// head comes last. That of a raw target is: the pass then proves by the content
// digest, which several cores take, that the bytes are those that were hashed. At a
// level that proves nothing there is no pass left, unless the writing was interrupted:
// a source that gives other bytes the second time leaves some of the first behind.
type readback struct {
	p      *Pipeline
	r      io.ReaderAt
	target contract.TargetSpec
	want   contract.Converted
	level  string // one of contract.VerifyLevels
	o      Observe

	sums   *storedSums
	known  *contract.StoredSums // what was taken while it was written, nil if nothing was
	off    int64                // stored bytes read
	digest *content.Hasher
	blocks *blockSums // of what is read back, if that is what is compared
	hinted time.Time  // when the last hint was given
}

// hintEvery keeps the cost of hints out of sight.
const hintEvery = time.Second

func newReadback(p *Pipeline, r io.ReaderAt, t contract.TargetSpec, c contract.Converted, level string, o Observe) *readback {
	rb := &readback{p: p, r: r, target: t, want: c, level: level, o: o, sums: p.newSums(), digest: content.New(c.SourceSize), blocks: &blockSums{}}
	if rb.plain() && rb.sums.fits(c.Sums) && (level != contract.VerifyNone || !c.Sums.Resumed) {
		rb.known = c.Sums
	}
	return rb
}

// plain reports whether the stored bytes are the guest's bytes.
func (rb *readback) plain() bool {
	return verbatim(formats.Name(rb.target.Format))
}

// inPass reports whether the content digest is taken in the pass over the
// stored bytes.
func (rb *readback) inPass() bool {
	return rb.plain() && rb.level != contract.VerifyNone && !rb.quick()
}

// quick reports whether what was written and what is read back are compared by their
// blocks' checksums.
func (rb *readback) quick() bool {
	return rb.known != nil && rb.known.Blocks != "" && rb.level == contract.VerifyStored
}

// trailed reports whether every block was read back and compared behind its writing.
func (rb *readback) trailed() bool {
	return rb.quick() && rb.known.ReadBack && !rb.known.Resumed
}

// guests reports whether the guest's bytes are read in a pass of their own.
func (rb *readback) guests() bool { return !rb.plain() && rb.level == contract.VerifyFull }

// total is the work in bytes, for progress.
func (rb *readback) total() int64 {
	if rb.guests() {
		return rb.want.Size + rb.want.SourceSize
	}
	return rb.want.Size
}

// A readState is the hint for another attempt.
type readState struct {
	UploadID string `json:"upload_id"`
	Level    string `json:"level"`
	Off      int64  `json:"off"`
	sumsState
	Digest []byte `json:"digest,omitempty"`
}

// hint returns the state after a whole unit, nil if it cannot be told.
func (rb *readback) hint() []byte {
	st := readState{UploadID: rb.want.UploadID, Level: rb.level, Off: rb.off, sumsState: rb.sums.state()}
	if rb.quick() {
		st.Blocks = &rb.blocks.fold
	}
	st.Digest, _ = rb.digest.MarshalBinary()
	p, _ := json.Marshal(st)
	return p
}

// restore takes up a hint, or leaves everything at the start.
func (rb *readback) restore(resume []byte) {
	var st readState
	if len(resume) == 0 || json.Unmarshal(resume, &st) != nil || st.UploadID != rb.want.UploadID || st.Level != rb.level ||
		st.Off%transfer.UnitBytes != 0 || st.Off > rb.want.Size {
		return
	}
	fresh := newReadback(rb.p, rb.r, rb.target, rb.want, rb.level, rb.o)
	ok := fresh.sums.restore(st.sumsState) && fresh.digest.UnmarshalBinary(st.Digest) == nil && fresh.digest.Size() == rb.want.SourceSize
	if fresh.quick() {
		ok = ok && st.Blocks != nil
		fresh.blocks = fresh.sums.blocks
	}
	if ok && (!fresh.inPass() || fresh.digest.Off() == min(st.Off, rb.want.SourceSize)) {
		fresh.off = st.Off
		*rb = *fresh
	}
}

// stored hashes the sealed bytes in order. For a raw target the content digest
// is taken in the same pass.
func (rb *readback) stored(ctx context.Context) error {
	if rb.quick() {
		return rb.storedBlocks(ctx)
	}
	if rb.known != nil && !rb.inPass() {
		return nil
	}
	e := rb.p.engine()
	if rb.inPass() {
		e.Digest = rb.digest
	}
	if rb.known == nil {
		rb.sums.tap(&e)
	}
	return e.Run(ctx, raw.New(rb.r, rb.want.Size), rb.off, rb.want.Size, nil, func(u *transfer.Unit) error {
		rb.off = u.Off + u.Len
		rb.report(rb.off)
		return nil
	})
}

// storedBlocks reads the sealed bytes and folds their blocks' checksums, which all
// cores take.
func (rb *readback) storedBlocks(ctx context.Context) error {
	sum := func(_ context.Context, _ int, u *transfer.Unit) error {
		u.Buf = binary.LittleEndian.AppendUint32(u.Buf[:0], crc32.Checksum(u.Data, castagnoli))
		return nil
	}
	e := rb.p.engine()
	return e.Run(ctx, raw.New(rb.r, rb.want.Size), rb.off, rb.want.Size, sum, func(u *transfer.Unit) error {
		if u.Data == nil {
			rb.blocks.zeros(u.Len)
		} else {
			rb.blocks.data(binary.LittleEndian.Uint32(u.Buf))
		}
		rb.off = u.Off + u.Len
		rb.report(rb.off)
		return nil
	})
}

// report tells how far it is; the hint only where it can be taken up.
func (rb *readback) report(done int64) {
	var hint []byte
	if rb.off%transfer.UnitBytes == 0 && rb.off > 0 && rb.off == done && time.Since(rb.hinted) > hintEvery {
		hint, rb.hinted = rb.hint(), time.Now()
	}
	rb.o(done, rb.total(), hint)
}

// content proves of the content what the level says.
func (rb *readback) content(ctx context.Context) error {
	switch {
	case rb.inPass():
		return rb.compare()
	case rb.quick():
		return rb.compareBlocks()
	case rb.level == contract.VerifyNone:
		return nil
	}
	disk, err := rb.open()
	if err != nil {
		return err
	}
	defer disk.Close()
	if !rb.guests() {
		return rb.tables(ctx, disk)
	}
	if err := rb.guest(ctx, disk); err != nil {
		return err
	}
	return rb.compare()
}

// compare compares the content digests.
func (rb *readback) compare() error {
	got, err := rb.digest.Sum()
	if err != nil {
		return err
	}
	if got != rb.want.ContentDigest {
		return errcode.New(errcode.VerifyMismatch, "the content digest read back from the store is not the source's").
			With(errcode.Evidence{Format: rb.target.Format, Structure: "sealed upload", Field: "content digest", Value: got, Limit: rb.want.ContentDigest})
	}
	return nil
}

// compareBlocks compares the blocks' checksums.
func (rb *readback) compareBlocks() error {
	if got := rb.blocks.text(); got != rb.known.Blocks {
		return errcode.New(errcode.VerifyMismatch, "the bytes read back from the store are not those that it was given").
			With(errcode.Evidence{Format: rb.target.Format, Structure: "sealed upload", Field: "blocks' checksums", Value: got, Limit: rb.known.Blocks})
	}
	return nil
}

// open opens the target as a disk of the right size.
func (rb *readback) open() (formats.Disk, error) {
	disk, err := rb.p.openBack(rb.target, rb.r, rb.want.Size)
	if err != nil {
		return nil, readBackError(err)
	}
	err = disk.Info().Unreadable
	switch {
	case err != nil:
		err = unreadable(err)
	case disk.Size() < rb.want.SourceSize || disk.Size() != rb.want.VirtualSize:
		err = errcode.New(errcode.VerifyMismatch, "the stored disk has %d bytes, the source %d", disk.Size(), rb.want.SourceSize)
	}
	if err != nil {
		return nil, errors.Join(err, disk.Close())
	}
	return disk, nil
}

// tables walks the target's extents, and checks its whole structure if its
// reader can.
func (rb *readback) tables(ctx context.Context, disk formats.Disk) error {
	if v, ok := disk.(formats.Validator); ok {
		if _, err := v.Validate(ctx); err != nil {
			return readBackError(err)
		}
	}
	for e, err := range formats.Extents(disk, 0, disk.Size()) {
		if err != nil {
			return readBackError(err)
		}
		rb.o(rb.want.Size, rb.total(), sign("tables", e.Off))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// guest digests the source's length of the target's guest bytes.
func (rb *readback) guest(ctx context.Context, disk formats.Disk) error {
	rb.digest = content.New(rb.want.SourceSize)
	if c, ok := disk.(formats.SumChecker); ok {
		if err := c.CheckSums(ctx); err != nil {
			return readBackError(err)
		}
	}
	if s, ok := disk.(formats.Streamer); ok {
		return rb.guestStream(ctx, s)
	}
	e := rb.p.engine()
	e.Digest = rb.digest
	e.Progress = func(off int64) { rb.o(rb.want.Size+off, rb.total(), nil) }
	if err := e.Run(ctx, Clip(disk, rb.want.SourceSize), 0, rb.want.SourceSize, nil, nil); err != nil {
		return readBackError(err)
	}
	return padding(disk, rb.want.SourceSize)
}

// padding proves that what a format added behind the source's bytes is zero.
func padding(disk formats.Disk, from int64) error {
	buf := make([]byte, 64<<10)
	for off := from; off < disk.Size(); {
		p := buf[:min(int64(len(buf)), disk.Size()-off)]
		if _, err := formats.ReadData(disk, p, off); err != nil {
			return readBackError(err)
		}
		if !binio.IsZero(p) {
			return paddingError(off)
		}
		off += int64(len(p))
	}
	return nil
}

// unreadable says that our own output was refused.
func unreadable(err error) error {
	return errcode.Wrap(err, errcode.VerifyMismatch, "the stored image does not open: %v", err)
}

// readBackError keeps a cancel, and a store that does not answer, what they are,
// and calls all else a mismatch.
func readBackError(err error) error {
	if e, ok := errcode.As(err); ok && e.Code != errcode.StoreUnavailable {
		return errcode.Wrap(err, errcode.VerifyMismatch, "the stored image cannot be read back: %v", err)
	}
	return err
}

func (rb *readback) result() contract.Checksummed {
	sums := rb.sums.result()
	if rb.known != nil {
		sums = *rb.known
	}
	return contract.Checksummed{HashAlgo: sums.HashAlgo, HashValue: sums.HashValue, Checksum: sums.Checksum, Verify: rb.level}
}
