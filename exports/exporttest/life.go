package exporttest

import (
	"bytes"
	"context"
	"errors"

	"ingest/exports"
	"ingest/internal/errcode"
	"ingest/stores"
)

func testSizes(f *fixture) {
	for _, n := range []int{0, 1, f.Part - 1, f.Part, f.Part + 1, 2 * f.Part, 2*f.Part + 17} {
		p := Content(n, uint32(n))
		f.sent(p)
		f.tidy()
		f.holds(p)
		f.Place(nil)
		*f = *f.other()
	}
}

func testExists(f *fixture) {
	theirs := Content(7, 1)
	f.Place(theirs)
	err := f.send(f.Context(), Content(f.Part+1, 2), nil)
	f.refused(err, errcode.DestinationExist)
	f.tidy()
	f.holds(theirs)
	err = f.send(f.Context(), nil, nil)
	f.refused(err, errcode.DestinationExist)
	f.tidy()
	f.holds(theirs)
}

// testAppears has somebody else take the name while the bytes are sent.
func testAppears(f *fixture) {
	for _, n := range []int{f.Part / 2, 3 * f.Part} {
		theirs := Content(9, 3)
		target, err := f.Driver.Open(f.Context(), f.to, nil)
		if err != nil {
			f.Fatal(err)
		}
		if err := target.Close(); err != nil {
			f.Fatal(err)
		}
		placed := false
		err = f.send(f.Context(), Content(n, 4), func(int64) {
			if !placed && !f.Blind {
				placed = true
				f.Place(theirs)
			}
		})
		if placed && n > f.Part { // a single request may have been made before it was seen
			f.refused(err, errcode.DestinationExist)
			f.holds(theirs)
		}
		f.tidy()
		f.Place(nil)
		*f = *f.other()
	}
}

func testOverwrite(f *fixture) {
	f.to.Overwrite = true
	for i, n := range []int{f.Part / 2, 2*f.Part + 5, 0} {
		theirs := Content(11+i, 5)
		f.Place(theirs)
		if n > f.Part {
			f.cutAt(Content(n, 6), int64(f.Part))
			f.holds(theirs)
		}
		f.sent(Content(n, 6))
		f.tidy()
		f.holds(Content(n, 6))
		*f = *f.other()
	}
}

// cutAt ends an attempt once so many bytes are seen to be there.
func (f *fixture) cutAt(p []byte, at int64) {
	f.Helper()
	ctx, stop := context.WithCancel(f.Context())
	defer stop()
	err := f.send(ctx, p, func(done int64) {
		if done >= at {
			stop()
		}
	})
	if !errors.Is(err, context.Canceled) {
		f.Errorf("cut off at %d: %v", at, err)
	}
}

func testGoesOn(f *fixture) {
	p := Content(5*f.Part+123, 7)
	for at := 1; at <= 4; at++ {
		f.cutAt(p, int64(at*f.Part))
		f.holdsNothing()
	}
	before := int64(0)
	if f.Sent != nil {
		before = f.Sent()
	}
	f.sent(p)
	if f.Sent != nil && !f.Blind {
		if again := f.Sent() - before; again >= int64(len(p)-f.Part) {
			f.Errorf("%d of %d bytes were sent again", again, len(p))
		}
	}
	f.tidy()
	f.holds(p)
}

// testOtherBytes goes on with a file that is another one than before, of the same size and
// of another: what is there of the first has no part in it.
func testOtherBytes(f *fixture) {
	target, err := f.Driver.Open(f.Context(), f.to, nil)
	if err != nil {
		f.Fatal(err)
	}
	_, receives := target.(exports.Receiver)
	if err := errors.Join(target.Abort(f.Context()), target.Close()); err != nil {
		f.Fatal(err)
	}
	if !receives {
		return // the notes of a Writable vouch for bytes, whose writer answers for what they are
	}
	for _, n := range []int{4 * f.Part, 4*f.Part - 100, 8 * f.Part, 100} {
		f.cutAt(Content(4*f.Part, 8), int64(2*f.Part))
		p := Content(4*f.Part, 8)
		if copy(p[f.Part+5:], "another"); n <= len(p) {
			p = p[:n]
		} else {
			p = append(p, p...)
		}
		f.sent(p)
		f.tidy()
		f.Place(nil)
		*f = *f.other()
	}
}

func testAbort(f *fixture) {
	p := Content(4*f.Part, 9)
	f.tidy() // nothing was begun
	f.cutAt(p, int64(2*f.Part))
	f.tidy()
	f.holdsNothing()
	// It can begin anew, whatever it remembers.
	f.sent(p)
	f.tidy()
	f.holds(p)
}

// testAgain is killed behind the last step, before anybody was told.
func testAgain(f *fixture) {
	for _, n := range []int{f.Part / 3, 2*f.Part + 1} {
		p := Content(n, 10)
		f.sent(p)
		before := int64(0)
		if f.Sent != nil {
			before = f.Sent()
		}
		f.sent(p)
		f.sent(p)
		if f.Sent != nil && f.Sent() != before {
			f.Errorf("%d bytes were sent again", f.Sent()-before)
		}
		them := f.other()
		them.refused(them.send(f.Context(), Content(n, 11), nil), errcode.DestinationExist)
		f.tidy()
		them.tidy()
		f.holds(p)
		f.Place(nil)
		*f = *f.other()
	}
}

func testTakenAway(f *fixture) {
	if f.Blind {
		return // nobody can know
	}
	for _, n := range []int{f.Part / 3, 2*f.Part + 1} {
		p := Content(n, 12)
		f.sent(p)
		f.Place(nil)
		f.sent(p)
		f.tidy()
		f.holds(p)
		f.Place(nil)
		*f = *f.other()
	}
}

func testReadBack(f *fixture) {
	p := Content(2*f.Part+3, 13)
	f.sent(p)
	target, err := f.Driver.Open(f.Context(), f.to, f.memory)
	if err != nil {
		f.Fatal(err)
	}
	defer target.Close()
	back, ok := target.(exports.Readable)
	if !ok {
		return
	}
	r, err := back.ReadBack(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	got := make([]byte, len(p))
	if n, err := r.ReadAt(got, 0); n != len(p) || !bytes.Equal(got, p) {
		f.Errorf("read back %d bytes, %v", n, err)
	}
	for range 2 {
		if err := back.Remove(f.Context()); err != nil {
			f.Fatal(err)
		}
	}
	f.holdsNothing()
}

func testWrongSize(f *fixture) {
	target, err := f.Driver.Open(f.Context(), f.to, nil)
	if err != nil {
		f.Fatal(err)
	}
	defer target.Close()
	to, ok := target.(exports.Writable)
	if !ok {
		return
	}
	up := to.Upload()
	_, err = up.WriteAt(Content(100, 14), 0)
	f.refused(errors.Join(err, up.Commit(f.Context(), stores.Digest{Size: 100})), errcode.VerifyMismatch)
	if err := errors.Join(up.Seal(f.Context(), 100), up.Seal(f.Context(), 100)); err != nil {
		f.Fatal(err)
	}
	f.refused(up.Seal(f.Context(), 99), errcode.Conflict)
	f.refused(up.Checkpoint(f.Context(), nil), errcode.Conflict)
	f.refused(up.Commit(f.Context(), stores.Digest{Size: 99}), errcode.VerifyMismatch)
	f.holdsNothing()
	f.tidy()
}
