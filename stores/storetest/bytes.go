package storetest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/stores"
)

// dataFinder is formats.DataFinder, which stores do not import.
type dataFinder interface {
	NextData(off int64) (start, end int64, err error)
}

func testHoles(f *fixture) {
	const size = 64 << 20
	key := newKey()
	u := f.begin(key, size)
	runs := map[int64][]byte{3 << 20: pattern(100_000, 1), 40<<20 + 5: pattern(7, 2)}
	for off, p := range runs {
		f.write(u, off, p)
	}
	f.must("Seal", u.Seal(f.ctx, size))
	want := make([]byte, size)
	for off, p := range runs {
		copy(want[off:], p)
	}
	f.wantBytes(u, 0, want)
	r, err := u.ReaderAt()
	f.must("ReaderAt", err)
	if d, ok := r.(dataFinder); ok {
		f.checkData(d, want)
	}
	f.commit(u, size)
	f.wantObject(f.s, key, want)
	info, err := f.s.Stat(f.ctx, key)
	f.must("Stat", err)
	if info.Allocated > 8<<20 {
		f.Errorf("%d bytes of data take %d bytes of the store", 100_007, info.Allocated)
	}
	f.delete(key)
}

// checkData walks the data runs: they ascend, hold everything that is not zero,
// and leave most of the holes out.
func (f *fixture) checkData(d dataFinder, want []byte) {
	f.Helper()
	size := int64(len(want))
	var off, data int64
	for off < size {
		start, end, err := d.NextData(off)
		f.must("NextData", err)
		if start < off || end < start || end > size {
			f.Fatalf("NextData(%d) = [%d, %d) of %d bytes", off, start, end, size)
		}
		holeEnd := start
		if start == end {
			holeEnd = size
		}
		if i := bytes.IndexFunc(want[off:holeEnd], func(r rune) bool { return r != 0 }); i >= 0 {
			f.Fatalf("NextData leaves out data at %d", off+int64(i))
		}
		if start == end {
			break
		}
		data += end - start
		off = end
	}
	if data > 8<<20 {
		f.Errorf("NextData finds %d bytes of data in %d", data, size)
	}
}

func testConcurrent(f *fixture) {
	const n, piece = 16, 70_001
	key, p := newKey(), pattern(n*piece, 3)
	u := f.begin(key, int64(len(p)))
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			// Neighbours overlap by one byte, which both write alike.
			end := min((i+1)*piece+1, len(p))
			if _, err := u.WriteAt(p[i*piece:end], int64(i*piece)); err != nil {
				f.Errorf("WriteAt: %v", err)
			}
			if i%4 == 0 {
				if err := u.Checkpoint(f.ctx, []byte{byte(i)}); err != nil {
					f.Errorf("Checkpoint: %v", err)
				}
			}
		})
	}
	wg.Wait()
	f.must("Seal", u.Seal(f.ctx, int64(len(p))))
	f.commit(u, int64(len(p)))
	f.wantObject(f.s, key, p)
	f.delete(key)
}

func testLarge(f *fixture) {
	size, border, far := int64(5<<40+512), int64(4<<30), int64(1<<40)
	if f.h.MaxSize > 0 {
		size, border, far = f.h.MaxSize, f.h.MaxSize/4, f.h.MaxSize/2
	}
	key := newKey()
	u := f.begin(key, size)
	offs := []int64{border - 3, far, size - 9}
	for i, off := range offs {
		f.write(u, off, pattern(9, byte(i)))
	}
	f.must("Seal", u.Seal(f.ctx, size))
	f.commit(u, size)
	for i, off := range offs {
		f.wantBytes(u, off, pattern(9, byte(i)))
		if got := f.readRange(f.s, key, off, 9); !bytes.Equal(got, pattern(9, byte(i))) {
			f.Errorf("range at %d differs from what was written", off)
		}
	}
	if got := f.readRange(f.s, key, border-4, 2); got[0] != 0 || got[1] == 0 {
		f.Errorf("bytes before and at the border = %v", got)
	}
	info, err := f.s.Stat(f.ctx, key)
	f.must("Stat", err)
	if info.Size != size || info.Allocated > 8<<20 {
		f.Errorf("Stat = %+v, want %d bytes, sparse", info, size)
	}
	f.delete(key)
}

func testRanges(f *fixture) {
	key, p := newKey(), pattern(150_000, 4)
	f.commit(f.sealed(key, p), int64(len(p)))
	end := int64(len(p))
	for _, r := range []struct{ off, n, want int64 }{
		{0, -1, end}, {0, 0, 0}, {0, 1, 1}, {65_535, 2, 2}, {end - 1, 1, 1}, {end - 1, 10, 1}, {end, -1, 0}, {70_000, -1, 80_000}, {0, 1 << 62, end},
	} {
		if got := f.readRange(f.s, key, r.off, r.n); !bytes.Equal(got, p[r.off:r.off+r.want]) {
			f.Errorf("range %+v: %d bytes, not what was written", r, len(got))
		}
	}
	for _, off := range []int64{-1, end + 1} {
		_, err := f.s.OpenRange(f.ctx, key, off, 1)
		f.wantCode("OpenRange outside the object", err, errcode.RangeInvalid)
	}
	f.delete(key)
}

func testFencing(f *fixture) {
	key, p := newKey(), pattern(1000, 5)
	old := f.begin(key, 1000)
	f.write(old, 0, p[:500])
	f.must("Checkpoint", old.Checkpoint(f.ctx, []byte("first")))

	// The same store first, then another one: both handles must be fenced.
	middle := f.resume(f.s, old.ID())
	young := f.resume(f.next(), old.ID())
	for _, u := range []stores.Upload{old, middle} {
		f.wantCode("Checkpoint of a fenced handle", u.Checkpoint(f.ctx, []byte("late")), errcode.UploadFenced)
		f.wantCode("Seal of a fenced handle", u.Seal(f.ctx, 10), errcode.UploadFenced)
		f.wantCode("Abort of a fenced handle", u.Abort(f.ctx), errcode.UploadFenced)
	}
	if got := string(young.Note()); got != "first" {
		f.Errorf("Note = %q, want first", got)
	}
	f.write(young, 500, p[500:])
	f.must("Seal", young.Seal(f.ctx, 1000))
	f.commit(young, 1000)
	f.wantObject(f.s, key, p)
	f.delete(key)
}

func testFencingEverywhere(f *fixture) {
	key, p := newKey(), pattern(1000, 6)
	sealed := f.sealed(key, p)
	young := f.resume(f.next(), sealed.ID())
	f.wantCode("Commit of a fenced handle", sealed.Commit(f.ctx, digest(1000)), errcode.UploadFenced)
	f.commit(young, 1000)
	f.wantCode("Commit after the successor's commit", sealed.Commit(f.ctx, digest(1000)), errcode.UploadFenced)
	f.wantCode("Checkpoint after the successor's commit", sealed.Checkpoint(f.ctx, nil), errcode.UploadFenced)
	if err := sealed.Abort(f.ctx); err != nil && errcode.Of(err) != errcode.UploadFenced {
		f.Errorf("Abort after the successor's commit: %v", err)
	}
	f.wantObject(f.s, key, p)
	f.delete(key)

	u := f.begin(newKey(), 10)
	v := f.resume(f.s, u.ID())
	f.must("Abort", v.Abort(f.ctx))
	f.wantCode("Checkpoint after the successor's abort", u.Checkpoint(f.ctx, nil), errcode.UploadFenced)
	f.must("Abort after the successor's abort", u.Abort(f.ctx))
}

func testUploads(f *fixture) {
	key := newKey()
	u, v := f.begin(key, -1), f.begin(newKey(), -1)
	f.write(u, 0, pattern(200_000, 7))
	if f.h.Buffers {
		f.must("Checkpoint", u.Checkpoint(f.ctx, nil))
	}
	f.commit(f.sealed(key, nil), 0) // committed, hence not listed
	for info, err := range f.s.Uploads(f.ctx, time.Now().Add(-time.Hour)) {
		f.Errorf("a fresh upload is listed as old: %+v, %v", info, err)
	}
	var ids []string
	for info, err := range f.next().Uploads(f.ctx, time.Now().Add(time.Hour)) {
		f.must("Uploads", err)
		ids = append(ids, info.ID)
		if info.ID == u.ID() && (info.Key != key || info.Bytes < 200_000 || time.Since(info.Touched) > time.Hour) {
			f.Errorf("UploadInfo = %+v, want key %s, 200000 bytes, touched now", info, key)
		}
	}
	want := []string{u.ID(), v.ID()}
	slices.Sort(want)
	slices.Sort(ids)
	if !slices.Equal(ids, want) {
		f.Errorf("Uploads = %v, want %v", ids, want)
	}
	for range f.s.Uploads(f.ctx, time.Now().Add(time.Hour)) {
		break // an early end must not hang or panic
	}
	for _, id := range ids { // as the reaper does
		f.must("Abort", f.resume(f.s, id).Abort(f.ctx))
	}
	f.delete(key)
}

func testObjects(f *fixture) {
	l, ok := f.s.(stores.Objects)
	if !ok {
		f.Skip("this store does not list its objects")
	}
	image := uuid.NewString()
	keys := []string{stores.NewKey(image, uuid.NewString()), stores.NewKey(image, uuid.NewString()), newKey()}
	for i, key := range keys {
		f.commit(f.sealed(key, pattern(i*10, 8)), int64(i*10))
	}
	pending := f.begin(newKey(), 1)
	got := map[string]int64{}
	for info, err := range l.Objects(f.ctx) {
		f.must("Objects", err)
		got[info.Key] = info.Size
	}
	if len(got) != len(keys) {
		f.Errorf("Objects = %v, want %v", got, keys)
	}
	for i, key := range keys {
		if size, ok := got[key]; !ok || size != int64(i*10) {
			f.Errorf("object %s: listed %v, %d bytes", key, ok, size)
		}
	}
	f.must("Abort", pending.Abort(f.ctx))
	f.delete(keys[0])
	f.wantObject(f.s, keys[1], pattern(10, 8))
	f.delete(keys[1:]...)
}

// testWritten reads an upload back that is not sealed, where a store can do that.
func testWritten(f *fixture) {
	u := f.begin(newKey(), -1)
	reread, ok := u.(stores.Rereader)
	if !ok {
		f.must("Abort", u.Abort(f.ctx))
		return
	}
	p := pattern(3<<20+17, 5)
	f.write(u, 1<<20, p)
	r, err := reread.Written()
	f.must("Written", err)
	f.wantRead(r, 1<<20, p)
	f.wantRead(r, 0, make([]byte, 1<<20))
	more := pattern(70_000, 6)
	f.write(u, 9<<20, more)
	f.wantRead(r, 9<<20, more)
	f.write(u, 9<<20, p[:70_000]) // other bytes in the place of what was read
	f.wantRead(r, 9<<20, p[:70_000])
	if n, err := r.ReadAt(make([]byte, 10), 64<<20); n != 0 || !errors.Is(err, io.EOF) {
		f.Errorf("behind the last byte: %d, %v", n, err)
	}
	f.must("Abort", u.Abort(f.ctx))
	if _, err := reread.Written(); err == nil {
		f.Error("an aborted upload can be read")
	}
}

// wantRead wants bytes of a reader.
func (f *fixture) wantRead(r io.ReaderAt, off int64, want []byte) {
	f.Helper()
	got := make([]byte, len(want))
	if n, err := r.ReadAt(got, off); n != len(got) || err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(got, want) {
		f.Errorf("ReadAt %d: %d bytes, %v; the right ones: %v", off, n, err, bytes.Equal(got, want))
	}
}
