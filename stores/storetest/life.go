package storetest

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"ingest/internal/errcode"
)

func testLife(f *fixture) {
	key, p := newKey(), pattern(200_001, 1)
	u := f.begin(key, int64(len(p)))
	if u.Note() != nil {
		f.Errorf("Note of a fresh upload = %q, want none", u.Note())
	}
	if _, ok := u.Sealed(); ok {
		f.Error("a fresh upload is sealed")
	}
	f.write(u, 100_000, p[100_000:])
	f.write(u, 0, p[:120_000]) // again, with the same bytes
	f.must("Checkpoint", u.Checkpoint(f.ctx, []byte("half")))
	if got := string(u.Note()); got != "half" {
		f.Errorf("Note = %q, want half", got)
	}
	_, err := u.ReaderAt()
	f.wantCode("ReaderAt before the seal", err, errcode.Conflict)
	f.must("Seal", u.Seal(f.ctx, int64(len(p))))
	if size, ok := u.Sealed(); !ok || size != int64(len(p)) {
		f.Errorf("Sealed = %d, %v", size, ok)
	}
	f.wantBytes(u, 0, p)
	f.commit(u, int64(len(p)))
	f.wantBytes(u, 0, p)
	f.wantObject(f.s, key, p)
	f.must("Close", u.Close())
	f.wantObject(f.next(), key, p)
	f.delete(key)
}

func testInvisible(f *fixture) {
	key := newKey()
	check := func(when string) {
		_, err := f.s.Stat(f.ctx, key)
		f.wantCode("Stat "+when, err, errcode.NotFound)
		_, err = f.s.OpenRange(f.ctx, key, 0, -1)
		f.wantCode("OpenRange "+when, err, errcode.NotFound)
	}
	check("before Begin")
	u := f.begin(key, 5)
	f.write(u, 0, []byte("bytes"))
	check("while writing")
	f.must("Seal", u.Seal(f.ctx, 5))
	check("when sealed")
	f.must("Abort", u.Abort(f.ctx))
	check("when aborted")
}

func testResume(f *fixture) {
	key, p := newKey(), pattern(10_000, 2)
	u := f.begin(key, -1)
	f.write(u, 0, p[:6000])
	f.must("Checkpoint", u.Checkpoint(f.ctx, []byte("6000")))
	f.must("Checkpoint", u.Checkpoint(f.ctx, []byte("still 6000")))
	f.must("Close", u.Close())

	v := f.resume(f.next(), u.ID())
	if v.ID() != u.ID() {
		f.Errorf("ID after Resume = %s, want %s", v.ID(), u.ID())
	}
	if got := string(v.Note()); got != "still 6000" {
		f.Errorf("Note after Resume = %q, want the last one", got)
	}
	f.write(v, 6000, p[6000:])
	f.must("Seal", v.Seal(f.ctx, int64(len(p))))
	f.commit(v, int64(len(p)))
	f.wantObject(f.s, key, p)
	f.delete(key)
}

func testResumeSealed(f *fixture) {
	key, p := newKey(), pattern(5000, 3)
	u := f.sealed(key, p)
	f.must("Checkpoint of a sealed upload", u.Checkpoint(f.ctx, []byte("digests")))
	f.must("Close", u.Close())

	v := f.resume(f.next(), u.ID())
	if size, ok := v.Sealed(); !ok || size != int64(len(p)) {
		f.Errorf("Sealed after Resume = %d, %v", size, ok)
	}
	if got := string(v.Note()); got != "digests" {
		f.Errorf("Note after Resume = %q", got)
	}
	f.wantBytes(v, 0, p)
	_, err := v.WriteAt([]byte{1}, 0)
	f.wantCode("WriteAt after the seal", err, errcode.Conflict)
	f.commit(v, int64(len(p)))
	f.wantObject(f.s, key, p)
	f.delete(key)
}

func testResumeCommitted(f *fixture) {
	key, p := newKey(), pattern(5000, 4)
	u := f.sealed(key, p)
	f.commit(u, int64(len(p)))
	v := f.resume(f.next(), u.ID())
	if size, ok := v.Sealed(); !ok || size != int64(len(p)) {
		f.Errorf("Sealed after Resume = %d, %v", size, ok)
	}
	f.wantBytes(v, 0, p)
	f.commit(v, int64(len(p)))
	f.must("Abort of a committed upload", v.Abort(f.ctx))
	f.wantObject(f.s, key, p)
	f.commit(u, int64(len(p)))
	f.delete(key)
	_, err := f.s.Resume(f.ctx, u.ID())
	f.wantCode("Resume when the object is deleted", err, errcode.UploadUnknown)
}

func testUnknown(f *fixture) {
	u := f.begin(newKey(), 1)
	f.must("Abort", u.Abort(f.ctx))
	for _, id := range []string{u.ID(), "", "..", "../objects", "/", uuid.NewString(), newKey(), u.ID() + "0", u.ID() + "/data"} {
		_, err := f.s.Resume(f.ctx, id)
		f.wantCode("Resume("+id+")", err, errcode.UploadUnknown)
	}
}

func testCommitTwice(f *fixture) {
	key, p := newKey(), pattern(100, 5)
	u := f.sealed(key, p)
	f.commit(u, 100)
	f.commit(u, 100)
	other := digest(100)
	other.Hex = "ff"
	f.wantCode("Commit with another digest", u.Commit(f.ctx, other), errcode.Conflict)
	f.wantObject(f.s, key, p)
	f.delete(key)
}

func testCommitRefused(f *fixture) {
	u := f.begin(newKey(), 100)
	f.write(u, 0, pattern(100, 6))
	f.wantCode("Commit before Seal", u.Commit(f.ctx, digest(100)), errcode.Conflict)
	f.must("Seal", u.Seal(f.ctx, 100))
	f.wantCode("Commit of another size", u.Commit(f.ctx, digest(99)), errcode.VerifyMismatch)
	f.must("Abort", u.Abort(f.ctx))
	f.wantCode("Commit after Abort", u.Commit(f.ctx, digest(100)), errcode.UploadUnknown)
}

func testKeyTaken(f *fixture) {
	key, p := newKey(), pattern(100, 7)
	u, v := f.sealed(key, p), f.sealed(key, pattern(100, 8))
	if u.ID() == v.ID() {
		f.Fatal("two uploads have one ID")
	}
	f.commit(u, 100)
	f.wantCode("Commit on a key that is taken", v.Commit(f.ctx, digest(100)), errcode.Conflict)
	f.must("Abort", v.Abort(f.ctx))
	f.wantObject(f.s, key, p)
	f.delete(key)
}

func testSealTwice(f *fixture) {
	u := f.sealed(newKey(), pattern(100, 9))
	f.must("Seal again", u.Seal(f.ctx, 100))
	f.wantCode("Seal at another size", u.Seal(f.ctx, 101), errcode.Conflict)
	f.must("Abort", u.Abort(f.ctx))
}

func testSealSize(f *fixture) {
	p := pattern(1000, 10)
	for _, size := range []int{0, 400, 1000, 300_000} {
		key := newKey()
		u := f.begin(key, -1)
		f.write(u, 0, p)
		f.must("Seal", u.Seal(f.ctx, int64(size)))
		want := make([]byte, size)
		copy(want, p)
		f.wantBytes(u, 0, want)
		f.commit(u, int64(size))
		f.wantObject(f.s, key, want)
		f.delete(key)
	}
}

func testImmutable(f *fixture) {
	p := pattern(1000, 11)
	u := f.sealed(newKey(), p)
	for _, off := range []int64{0, 999, 1000} {
		_, err := u.WriteAt([]byte{0}, off)
		f.wantCode("WriteAt after the seal", err, errcode.Conflict)
	}
	f.wantBytes(u, 0, p)
	f.must("Abort", u.Abort(f.ctx))
}

func testAbort(f *fixture) {
	for _, seal := range []bool{false, true} {
		u := f.begin(newKey(), -1)
		f.write(u, 0, pattern(70_000, 12))
		f.must("Checkpoint", u.Checkpoint(f.ctx, []byte("note")))
		if seal {
			f.must("Seal", u.Seal(f.ctx, 70_000))
		}
		ended, cancel := context.WithCancel(f.ctx)
		cancel()
		f.must("Abort with an ended context", u.Abort(ended))
		f.must("Abort again", u.Abort(f.ctx))
		_, err := u.WriteAt([]byte{1}, 0)
		f.wantCode("WriteAt after Abort", err, errcode.UploadUnknown)
		f.wantCode("Checkpoint after Abort", u.Checkpoint(f.ctx, nil), errcode.UploadUnknown)
		f.wantCode("Seal after Abort", u.Seal(f.ctx, 70_000), errcode.UploadUnknown)
		_, err = f.s.Resume(f.ctx, u.ID())
		f.wantCode("Resume after Abort", err, errcode.UploadUnknown)
		f.must("Close after Abort", u.Close())
	}
}

// testAbortLate shows that a deferred Abort leaves alone what was handed on.
func testAbortLate(f *fixture) {
	key, p := newKey(), pattern(100, 13)
	u := f.sealed(key, p)
	f.must("Close", u.Close())
	f.must("Abort after Close", u.Abort(f.ctx))
	v := f.resume(f.s, u.ID())
	f.commit(v, 100)
	f.must("Abort after Commit", v.Abort(f.ctx))
	f.wantObject(f.s, key, p)
	f.delete(key)
}

func testContext(f *fixture) {
	ended, cancel := context.WithCancel(f.ctx)
	cancel()
	u := f.begin(newKey(), 1)
	_, err := f.s.Begin(ended, newKey(), 1)
	_, err2 := f.s.Resume(ended, u.ID())
	for what, err := range map[string]error{
		"Begin": err, "Resume": err2,
		"Checkpoint": u.Checkpoint(ended, nil), "Seal": u.Seal(ended, 0), "Commit": u.Commit(ended, digest(0)),
	} {
		if !errors.Is(err, context.Canceled) {
			f.Errorf("%s with an ended context: %v, want context.Canceled", what, err)
		}
	}
	f.must("Abort", u.Abort(f.ctx))
}

func testClosed(f *fixture) {
	u := f.begin(newKey(), 1)
	f.write(u, 0, []byte{1})
	f.must("Close", u.Close())
	f.must("Close again", u.Close())
	if _, err := u.WriteAt([]byte{1}, 0); err == nil {
		f.Error("WriteAt after Close succeeds")
	}
	if u.Checkpoint(f.ctx, nil) == nil || u.Seal(f.ctx, 1) == nil || u.Commit(f.ctx, digest(1)) == nil {
		f.Error("a closed handle changes the upload")
	}
	f.must("Abort", f.resume(f.s, u.ID()).Abort(f.ctx))
}

func testDelete(f *fixture) {
	key, p := newKey(), pattern(100, 14)
	f.must("Delete of nothing", f.s.Delete(f.ctx, key))
	u := f.sealed(key, p)
	f.must("Delete of an upload's key", f.s.Delete(f.ctx, key))
	f.commit(u, 100)
	r, err := f.s.OpenRange(f.ctx, key, 0, -1)
	f.must("OpenRange", err)
	f.must("close range", r.Close())
	f.must("Delete", f.s.Delete(f.ctx, key))
	f.must("Delete again", f.s.Delete(f.ctx, key))
	_, err = f.s.Stat(f.ctx, key)
	f.wantCode("Stat after Delete", err, errcode.NotFound)
}

func testKeys(f *fixture) {
	a, b := uuid.NewString(), uuid.NewString()
	bad := []string{"", "/", a, a + "/", "/" + b, a + "/" + b + "/", a + "//" + b, "../" + b, a + "/..", a + "/../" + b,
		"/etc/passwd", a + "\x00/" + b, a + "/" + b + ".json", a + "\\" + b, "ABCDEF01-2f0e-4b6c-9a53-0e6f2f9d3c11/" + b}
	for _, key := range bad {
		_, err := f.s.Begin(f.ctx, key, 1)
		f.wantCode("Begin("+key+")", err, errcode.BadRequest)
		if _, err := f.s.Stat(f.ctx, key); err == nil {
			f.Errorf("Stat(%q) succeeds", key)
		}
		if _, err := f.s.OpenRange(f.ctx, key, 0, -1); err == nil {
			f.Errorf("OpenRange(%q) succeeds", key)
		}
		f.wantCode("Delete("+key+")", f.s.Delete(f.ctx, key), errcode.BadRequest)
	}
}
