package storetest

import (
	"fmt"
	"sync"

	"ingest/internal/errcode"
	"ingest/stores"
)

// testMarks is of uploads that keep notes without the disk. Of a mark and a
// checkpoint the later one counts, and a handle that was overtaken keeps neither.
func testMarks(f *fixture) {
	key, p := newKey(), pattern(10_000, 2)
	u := f.begin(key, -1)
	m, ok := u.(stores.Marker)
	if !ok {
		f.must("Abort", u.Abort(f.ctx))
		f.Skip("uploads of this store have no marks")
	}
	note := func(want string) stores.Upload {
		f.Helper()
		v := f.resume(f.next(), u.ID())
		if got := string(v.Note()); got != want {
			f.Errorf("Note after Resume = %q, want %q", got, want)
		}
		return v
	}
	f.write(u, 0, p[:6000])
	f.must("Checkpoint", u.Checkpoint(f.ctx, []byte("checkpoint")))
	f.must("Mark", m.Mark(f.ctx, []byte("mark")))
	if got := string(u.Note()); got != "mark" {
		f.Errorf("Note = %q, want that of the mark", got)
	}
	f.must("Close", u.Close())
	v := note("mark")
	w := note("mark")
	f.wantCode("Mark by a handle that was overtaken", v.(stores.Marker).Mark(f.ctx, []byte("late")), errcode.UploadFenced)
	v = note("mark")
	f.must("Checkpoint", v.Checkpoint(f.ctx, []byte("second")))
	f.wantCode("Mark by a handle that was overtaken", w.(stores.Marker).Mark(f.ctx, []byte("late")), errcode.UploadFenced)
	w = note("second")
	f.marksBeside(w, p[6000:])
	v = note("last")
	f.must("Seal", v.Seal(f.ctx, int64(len(p))))
	if v.(stores.Marker).Mark(f.ctx, []byte("sealed")) == nil {
		f.Error("a sealed upload takes a mark")
	}
	f.must("Checkpoint when sealed", v.Checkpoint(f.ctx, []byte("digests")))
	v = note("digests")
	f.commit(v, int64(len(p)))
	f.wantObject(f.s, key, p)
	f.delete(key)
	f.markOfAborted()
}

// marksBeside marks beside checkpoints and writes, and makes a last mark.
func (f *fixture) marksBeside(u stores.Upload, p []byte) {
	f.Helper()
	var all sync.WaitGroup
	all.Go(func() {
		for i := range 20 {
			f.must("Checkpoint", u.Checkpoint(f.ctx, fmt.Appendf(nil, "checkpoint %d", i)))
		}
	})
	for i := range p {
		f.write(u, 6000+int64(i), p[i:i+1])
		if i%40 == 0 {
			f.must("Mark", u.(stores.Marker).Mark(f.ctx, fmt.Appendf(nil, "mark %d", i)))
		}
	}
	all.Wait()
	f.must("Mark", u.(stores.Marker).Mark(f.ctx, []byte("last")))
}

// markOfAborted marks an upload that somebody else has thrown away.
func (f *fixture) markOfAborted() {
	f.Helper()
	u := f.begin(newKey(), -1)
	f.must("Abort", f.resume(f.next(), u.ID()).Abort(f.ctx))
	f.wantCode("Mark of an upload that is gone", u.(stores.Marker).Mark(f.ctx, []byte("late")), errcode.UploadFenced)
	f.must("Close", u.Close())
}
