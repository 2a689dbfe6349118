package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"ingest/formats"
	"ingest/formats/content"
	"ingest/formats/transfer"
	"ingest/internal/bandwidth"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/stores"
)

// Convert writes the target into the upload named by the key.
func (p *Pipeline) Convert(ctx context.Context, c contract.ConvertParams, o Observe) (contract.Converted, error) {
	store, err := p.store(c.Target.Store)
	if err != nil {
		return contract.Converted{}, err
	}
	pulse := newPulse(o)
	// What was begun while the source was fetched knew nothing of its holes; it is
	// continued without.
	early := p.begunAhead(ctx, store, c)
	wrap := watching(pulse.read)
	if early != nil {
		wrap = func(r io.ReaderAt) io.ReaderAt { return watched{r, pulse.read} }
	}
	disk, src, err := p.openSource(ctx, c, wrap)
	if err != nil {
		return contract.Converted{}, err
	}
	defer src.Close()
	defer disk.Close()
	fits := func(up stores.Upload) bool {
		_, ok, err := p.resumeNote(up, c.Target, disk, early)
		return ok && err == nil
	}
	k := work{store: store.Name(), begun: early, hash: true, reread: p.verifyPolicy().AtLeast(c.Verify) == contract.VerifyStored}
	out, err := p.writeUpload(ctx, store, disk, c, k, fits, pulse.observe)
	if errors.Is(err, errPlanChanged) || errors.Is(err, transfer.ErrDigestElsewhere) {
		// The note fits no plan, or its checkpoint no encoder, of today: once
		// more, into a fresh upload.
		out, err = p.writeUpload(ctx, store, disk, c, k, func(stores.Upload) bool { return false }, pulse.observe)
	}
	if err != nil {
		return contract.Converted{}, p.giveUpload(ctx, uploadClaim(c, store), err)
	}
	return out, src.check(ctx)
}

// writeUpload writes the target into the upload of an earlier attempt, if its
// note fits, or else into a fresh one.
func (p *Pipeline) writeUpload(ctx context.Context, store stores.Store, disk formats.Disk, c contract.ConvertParams, k work,
	fits func(stores.Upload) bool, o Observe) (contract.Converted, error) {
	up, err := beginOrResume(ctx, store, c.Key, fits, func() (up stores.Upload, err error) {
		if k.laid, err = p.planOf(ctx, disk, c.Target); err != nil {
			return nil, err
		}
		if k.laid != nil {
			return store.Begin(ctx, c.Key, k.laid.Size())
		}
		return stores.BeginUpTo(ctx, store, c.Key, encodedAtMost(disk.Size()))
	})
	if err != nil {
		return contract.Converted{}, err
	}
	defer up.Close()
	k.space = p.claim(uploadClaim(c, store))
	out, err := p.writeDisks(ctx, disk, c.Target, up, k, o)
	if err == nil {
		err = k.space.settle(ctx, out.Size)
	}
	out.Store, out.UploadID = store.Name(), up.ID()
	return out, err
}

// uploadClaim is the space of what a conversion writes.
func uploadClaim(c contract.ConvertParams, store stores.Store) Claim {
	return Claim{TaskID: c.TaskID, Kind: ClaimStore, Part: c.ImageID, Store: store.Name(), Key: c.Key}
}

// findUpload takes up the upload that was begun for key.
func findUpload(ctx context.Context, s stores.Store, key string) (stores.Upload, error) {
	id, err := uploadOf(ctx, s, key)
	if err != nil {
		return nil, err
	}
	return s.Resume(ctx, id)
}

// uploadOf returns the id of the upload that was begun for key.
func uploadOf(ctx context.Context, s stores.Store, key string) (string, error) {
	f, ok := s.(stores.Finder)
	if !ok {
		return "", errcode.New(errcode.UploadUnknown, "store %s finds no uploads by key", s.Name())
	}
	return f.Find(ctx, key)
}

// discardUpload throws the upload away that was begun for key.
func discardUpload(ctx context.Context, s stores.Store, key string) error {
	id, err := uploadOf(ctx, s, key)
	if err != nil {
		return err
	}
	return stores.Discard(ctx, s, id)
}

// beginOrResume finds the upload of an earlier attempt, or begins it. An upload
// without a note that fits is thrown away: its bytes may be those of another
// version of the codec, and would show where this one leaves holes.
func beginOrResume(ctx context.Context, s stores.Store, key string, fits func(stores.Upload) bool, begin func() (stores.Upload, error)) (stores.Upload, error) {
	up, err := findUpload(ctx, s, key)
	if errcode.Of(err) == errcode.UploadUnknown {
		return begin()
	}
	if err != nil || fits(up) {
		return up, err
	}
	if err := errors.Join(up.Abort(ctx), up.Close()); err != nil {
		return nil, err
	}
	return begin()
}

// planOf lays the target out, nil if it is encoded.
func (p *Pipeline) planOf(ctx context.Context, disk formats.Disk, t contract.TargetSpec) (formats.Plan, error) {
	m, err := writerOf(t, p.engine())
	if err != nil || !m.Plans(disk.Info()) {
		return nil, err
	}
	return m.Planner.Plan(ctx, disk)
}

// encodedAtMost is what an encoder makes of size bytes at most: bytes that do not
// compress, and the tables of the smallest clusters, an entry of eight bytes and a
// reference count of eight for each 512.
func encodedAtMost(size int64) int64 { return addSizes(size, size/16+64<<20) }

// A note is what an upload keeps with its durable bytes: where to go on, and
// the digest of what was read. Done means that all is written.
type note struct {
	Codec      string              `json:"codec"`
	SourceSize int64               `json:"source_size"`
	Checkpoint formats.Checkpoint  `json:"checkpoint"`
	Digest     []byte              `json:"digest"`          // state of the content digest at Checkpoint.Off
	Sums       *sumsState          `json:"sums,omitempty"`  // of the stored digests at Checkpoint.Off, if they are taken on the way
	Plan       string              `json:"plan,omitempty"`  // SHA-256 of the plan's metadata: which plan it is
	Ahead      *aheadNote          `json:"ahead,omitempty"` // begun while the source was fetched
	Done       *contract.Converted `json:"done,omitempty"`
}

// Write writes a disk as the target into an upload, and takes the disk's
// content digest on the way. If the upload's note fits, it goes on there. It
// neither seals nor commits.
func (p *Pipeline) Write(ctx context.Context, disk formats.Disk, t contract.TargetSpec, up stores.Upload, o Observe) (contract.Converted, error) {
	return p.writeDisks(ctx, disk, t, up, work{}, o)
}

// work is what Write knows besides.
type work struct {
	store string        // whose budget the written bytes are of, "" for none
	laid  formats.Plan  // of the disk, nil if it is not laid out yet, or is encoded
	more  *furtherDisks // for a container that takes them
	space *claim        // of what is written
	hash  bool          // the stored digests are wanted, if they can be had on the way
	// reread says that what is written shall be read back on the way, if it can be.
	reread bool
	begun  *aheadNote // while the source was fetched; nil if it was not
	early  *ahead     // it is being fetched now; nil if it is not
}

// writeDisks is Write with what else is known.
func (p *Pipeline) writeDisks(ctx context.Context, disk formats.Disk, t contract.TargetSpec, up stores.Upload, k work, o Observe) (contract.Converted, error) {
	if o == nil {
		o = ignore
	}
	w := &writer{p: p, ctx: ctx, up: up, work: k, o: o, size: disk.Size(), saver: newSaver(ctx, p, up)}
	defer w.saver.ended(true)
	if k.more != nil {
		w.size = disk.Size() + k.more.size
	}
	var resumed bool
	var err error
	if w.n, resumed, err = p.resumeNote(up, t, disk, k.begun); err != nil {
		return contract.Converted{}, err
	}
	if w.n.Done != nil {
		return *w.n.Done, nil
	}
	w.digest = content.New(disk.Size())
	if w.n.Checkpoint.Off > 0 {
		if err := w.digest.UnmarshalBinary(w.n.Digest); err != nil {
			return contract.Converted{}, err
		}
	}
	w.begin(t)
	defer w.sums.abandon()
	sum, err := p.write(ctx, w, disk, t)
	if err != nil {
		return contract.Converted{}, err
	}
	digest, err := w.digest.Sum()
	if err != nil {
		return contract.Converted{}, err
	}
	out := contract.Converted{
		Size: sum.FileSize, VirtualSize: sum.VirtualSize, SourceSize: disk.Size(), ContentDigest: digest,
		UploadID: up.ID(), Codec: w.n.Codec,
	}
	if w.sums != nil {
		w.sums.zeros(out.Size - out.SourceSize)
		sums := w.sums.result()
		sums.Resumed = resumed
		sums.ReadBack = !resumed && w.sums.trail.proves(ctx, out.Size, w.alive)
		out.Sums = &sums
		if ctx.Err() != nil {
			return contract.Converted{}, context.Cause(ctx)
		}
	}
	w.n.Done = &out
	text, err := w.note()
	if err != nil {
		return contract.Converted{}, err
	}
	return out, w.saver.keep(text)
}

// resumeNote returns the upload's note if it is of the same work and codec, and of the
// same fetch if it was begun ahead; and else, with false, that of a start.
func (p *Pipeline) resumeNote(up stores.Upload, t contract.TargetSpec, disk formats.Disk, begun *aheadNote) (note, bool, error) {
	codec, err := p.codec(t, disk.Info())
	if err != nil {
		return note{}, false, err
	}
	fresh := note{Codec: codec, SourceSize: disk.Size(), Ahead: begun}
	var n note
	if len(up.Note()) == 0 || json.Unmarshal(up.Note(), &n) != nil || !n.Ahead.is(begun) || n.SourceSize != fresh.SourceSize || n.Codec != fresh.Codec {
		return fresh, false, nil
	}
	if n.Done == nil {
		digest := content.New(disk.Size())
		if n.Checkpoint.Codec != n.Codec || digest.UnmarshalBinary(n.Digest) != nil || digest.Off() != n.Checkpoint.Off {
			return fresh, false, nil
		}
	}
	return n, true, nil
}

// codec names what makes the output's bytes: a checkpoint of another codec is
// never continued.
func (p *Pipeline) codec(t contract.TargetSpec, info formats.Info) (string, error) {
	m, err := writerOf(t, p.engine())
	if err != nil {
		return "", err
	}
	if m.Plans(info) {
		return "plan/2/" + m.Codec, nil
	}
	return m.Encoder.Codec(), nil
}

// begin takes the stored digests on the way, if the stored bytes are the guest's. A
// note without their state, of an older version or of other digests, leaves them to
// the pass over what is stored.
func (w *writer) begin(t contract.TargetSpec) {
	if !w.hash || !verbatim(formats.Name(t.Format)) {
		return
	}
	sums := w.p.newSums()
	if w.n.Checkpoint.Off == 0 || w.n.Sums != nil && sums.restore(*w.n.Sums) {
		w.sums = sums
		if w.reread && w.n.Checkpoint.Off == 0 {
			sums.trail = newTrail(w.up, w.size)
		}
		return
	}
	// Their state is that of this checkpoint, and must not be found with a later one.
	w.n.Sums = nil
}

// write runs the plan or the encoder.
func (p *Pipeline) write(ctx context.Context, w *writer, disk formats.Disk, t contract.TargetSpec) (formats.Summary, error) {
	e := p.engine()
	if w.early != nil {
		e.Memory = aheadMemory(e.Memory)
	}
	e.Digest = w.digest
	e.Progress = func(off int64) { w.o(off, w.size, nil) }
	if w.sums != nil {
		w.sums.tap(&e)
	}
	if w.more == nil {
		e.Window = w.saver.window
	}
	m, err := writerOf(t, e)
	if err != nil {
		return formats.Summary{}, err
	}
	if m.Plans(disk.Info()) {
		plan := w.laid
		if plan == nil {
			if plan, err = m.Planner.Plan(ctx, disk); err != nil {
				return formats.Summary{}, err
			}
		}
		// For what is planned all tables are read, of which some have still to come.
		if w.early == nil {
			err = w.space.planned(ctx, plan)
		}
		if err != nil {
			return formats.Summary{}, err
		}
		return plan.Summary(), w.plan(ctx, e, disk, plan)
	}
	if w.more != nil { // several runs, which cannot be continued
		return m.Several(w.more.disks, w.more.digests).Encode(ctx, w, disk, formats.Checkpoint{})
	}
	return m.Encoder.Encode(ctx, w, disk, w.n.Checkpoint)
}

// A writer is the sink between an encoder or a plan and an upload.
type writer struct {
	work
	p      *Pipeline
	ctx    context.Context
	up     stores.Upload
	n      note
	o      Observe
	size   int64 // of all disks, bytes
	saver  *saver
	digest *content.Hasher
	sums   *storedSums // nil if the stored bytes do not come in order, or nobody asks
}

var _ formats.Sink = (*writer)(nil)

// WriteAt passes an encoder's bytes on to the upload.
func (w *writer) WriteAt(p []byte, off int64) (int, error) {
	if err := w.admit(off, int64(len(p))); err != nil {
		return 0, err
	}
	w.saver.dirty.Add(int64(len(p)))
	return bandwidth.WriteAt(w.ctx, w.store, w.up, p, off)
}

// Checkpoint keeps an encoder's state with the upload, if that is due.
func (w *writer) Checkpoint(ctx context.Context, state func() formats.Checkpoint) error {
	if w.early.halting() {
		return w.halt(state())
	}
	return w.saver.offer(func() ([]byte, error) {
		w.n.Checkpoint = state()
		return w.note()
	})
}

// alive shows that something moves while all is written.
func (w *writer) alive(n int64) { w.o(w.size, w.size, sign("reread", n)) }

// note is what has been done so far.
func (w *writer) note() (text []byte, err error) {
	if w.n.Digest, err = w.digest.MarshalBinary(); err != nil {
		return nil, err
	}
	if w.sums != nil {
		sums := w.sums.state()
		w.n.Sums = &sums
	}
	return json.Marshal(w.n)
}
