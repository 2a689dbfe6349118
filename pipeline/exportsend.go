package pipeline

import (
	"context"
	"errors"
	"io"

	"ingest/exports"
	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// A finished is a file of which any range can be read.
type finished struct {
	io.ReaderAt
	size int64
}

// Size is its length, bytes.
func (f finished) Size() int64 { return f.size }

// send gives the finished file to a destination that takes nothing else.
func (x *export) send(ctx context.Context, to exports.Receiver, out *contract.Exported) error {
	file, w, done, err := x.finish(ctx)
	if err != nil {
		return err
	}
	defer done()
	out.Size = file.size
	sums := x.p.newSums()
	s := exports.Sending{
		Content: finished{ended{ctx, file}, file.size}, Tap: tapped{sums}, Remember: x.remember,
		Observe: func(n int64) { x.o(n, file.size, nil) },
	}
	if err := to.Send(ctx, s); err != nil {
		return err
	}
	sent := sums.result()
	out.HashAlgo, out.HashValue, out.Checksum = sent.HashAlgo, sent.HashValue, sent.Checksum
	if err := x.sameBytes(*out); err != nil {
		return errors.Join(err, take(ctx, to))
	}
	back, ok := to.(exports.Readable)
	if !ok {
		return nil
	}
	r, err := back.ReadBack(ctx)
	if err != nil {
		return err
	}
	err = x.proveSent(ctx, r, w, sent, out)
	if errcode.Of(err) == errcode.VerifyMismatch {
		err = errors.Join(err, back.Remove(ctx))
	}
	return err
}

// take takes away what should not have been sent, where that can be done.
func take(ctx context.Context, to exports.Receiver) error {
	if back, ok := to.(exports.Readable); ok {
		return back.Remove(ctx)
	}
	return nil
}

// proveSent reads back what was sent.
func (x *export) proveSent(ctx context.Context, r io.ReaderAt, w contract.Converted, sent contract.StoredSums, out *contract.Exported) error {
	if err := x.readBack(ctx, r, w, out); err != nil {
		return err
	}
	if out.HashValue != sent.HashValue {
		return errcode.New(errcode.VerifyMismatch, "the bytes read back from the destination are not those that were sent").
			With(errcode.Evidence{Structure: "destination", Field: out.HashAlgo, Value: out.HashValue, Limit: sent.HashValue})
	}
	return nil
}

// finish returns the whole file: computed where that can be done, else written into the
// staging folder first. done lets go of it. The content digest is the one that is
// expected of what is read back.
func (x *export) finish(ctx context.Context) (finished, contract.Converted, func(), error) {
	w := contract.Converted{SourceSize: x.disk.Size(), ContentDigest: x.c.Image.ContentDigest}
	plan, err := x.p.planOf(ctx, x.disk, x.target)
	if err != nil {
		return finished{}, w, nil, err
	}
	if plan == nil {
		return x.finishStaged(ctx)
	}
	w.Size, w.VirtualSize = plan.Size(), plan.Summary().VirtualSize
	if x.keeps || w.ContentDigest == "" {
		// The digest of the very bytes: for those that stay as they are, of the file.
		if w.ContentDigest, _, err = x.p.Digest(ctx, x.disk, false, func(done, total int64, _ []byte) { x.o(0, total, sign("digest", done)) }); err != nil {
			return finished{}, w, nil, err
		}
	}
	return finished{plan, plan.Size()}, w, func() {}, nil
}

func (x *export) finishStaged(ctx context.Context) (finished, contract.Converted, func(), error) {
	t, err := x.staged(ctx)
	if err != nil {
		return finished{}, contract.Converted{}, nil, err
	}
	up := t.Upload()
	w, err := x.fill(ctx, up)
	if err != nil {
		err = x.afresh(ctx, up, err)
	} else {
		err = x.sameContent(w.ContentDigest)
	}
	var r io.ReaderAt
	if err == nil {
		r, err = up.ReaderAt()
	}
	if err != nil {
		return finished{}, w, nil, errors.Join(err, t.Close())
	}
	return finished{r, w.Size}, w, func() { t.Close() }, nil
}

// tapped feeds bytes that come in order to the digests.
type tapped struct{ sums *storedSums }

func (t tapped) Write(p []byte) (int, error) {
	t.sums.sum.Write(p)
	if t.sums.md5 != nil {
		t.sums.md5.Write(p)
	}
	return len(p), nil
}
