package storetest

import (
	"ingest/internal/errcode"
	"ingest/stores"
)

// testDiscard throws uploads away without taking them up.
func testDiscard(f *fixture) {
	p := pattern(5000, 3)
	u := f.begin(newKey(), -1)
	f.write(u, 0, p)
	f.must("Checkpoint", u.Checkpoint(f.ctx, []byte("note")))
	f.must("Discard", stores.Discard(f.ctx, f.next(), u.ID()))
	f.wantCode("Checkpoint of a discarded upload", u.Checkpoint(f.ctx, []byte("late")), errcode.UploadFenced)
	f.must("Close", u.Close())
	f.wantCode("Discard again", stores.Discard(f.ctx, f.s, u.ID()), errcode.UploadUnknown)
	_, err := f.next().Resume(f.ctx, u.ID())
	f.wantCode("Resume of a discarded upload", err, errcode.UploadUnknown)

	sealed := f.sealed(newKey(), p)
	f.must("Close", sealed.Close())
	f.must("Discard of a sealed upload", stores.Discard(f.ctx, f.next(), sealed.ID()))

	key := newKey()
	done := f.sealed(key, p)
	f.commit(done, int64(len(p)))
	f.must("Close", done.Close())
	f.must("Discard of a committed upload", stores.Discard(f.ctx, f.next(), done.ID()))
	f.wantObject(f.next(), key, p)
	f.delete(key)
	f.wantCode("Discard of nothing", stores.Discard(f.ctx, f.s, "nothing"), errcode.UploadUnknown)
}
