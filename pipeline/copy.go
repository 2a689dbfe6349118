package pipeline

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"

	"ingest/formats/raw"
	"ingest/formats/transfer"
	"ingest/internal/bandwidth"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/stores"
)

// Copy brings stored bytes into another store. They are hashed on the way, and
// only those of the digest are committed.
func (p *Pipeline) Copy(ctx context.Context, c contract.CopyParams, o Observe) (contract.Stored, error) {
	if o == nil {
		o = ignore
	}
	dst, err := p.store(c.Store)
	if err != nil {
		return contract.Stored{}, err
	}
	if stores.IsReadOnly(dst) {
		return p.adopt(ctx, dst, c, o)
	}
	done := contract.Stored{Store: dst.Name(), Key: c.Key, Location: Location(dst.Name(), c.Key)}
	switch have, err := dst.Stat(ctx, c.Key); {
	case err == nil && have.Size == c.Size && (c.HashValue == "" || have.Digest == wanted(c)):
		o(c.Size, c.Size, nil)
		return done, nil
	case err == nil:
		return contract.Stored{}, errcode.New(errcode.Conflict, "store %s has other bytes under the copy's key", dst.Name())
	case errcode.Of(err) != errcode.NotFound:
		return contract.Stored{}, err
	}
	if len(c.From) == 0 {
		return contract.Stored{}, errcode.New(errcode.NotFound, "image %s lies in no store", c.ImageID)
	}
	// A place whose bytes are not those of the digest is left out the next time.
	for from := c.From; ; from = from[1:] {
		err := p.giveUpload(ctx, copyClaim(c, dst), p.copyFrom(ctx, dst, from, c, o))
		if errcode.Of(err) != errcode.VerifyMismatch || len(from) == 1 {
			return done, err
		}
	}
}

func wanted(c contract.CopyParams) stores.Digest {
	return stores.Digest{Algo: c.HashAlgo, Hex: c.HashValue, Size: c.Size}
}

// copyClaim is the space of a copy.
func copyClaim(c contract.CopyParams, dst stores.Store) Claim {
	return Claim{TaskID: c.TaskID, Kind: ClaimStore, Part: c.ImageID + "@" + dst.Name(), Store: dst.Name(), Key: c.Key}
}

// copyFrom copies from the first of the places that can be read.
func (p *Pipeline) copyFrom(ctx context.Context, dst stores.Store, from []contract.Stored, c contract.CopyParams, o Observe) error {
	src, err := p.openStored(ctx, from, c.Size)
	if err != nil {
		return err
	}
	defer src.Close()
	first := from[0].Store + "/" + from[0].Key
	up, err := beginOrResume(ctx, dst, c.Key, func(up stores.Upload) bool {
		_, ok := copyNoteOf(up, c, first)
		return ok
	}, func() (stores.Upload, error) { return dst.Begin(ctx, c.Key, c.Size) })
	if err != nil {
		return err
	}
	defer up.Close()
	space := p.claim(copyClaim(c, dst))
	if err := space.set(ctx, c.Size, src.room()); err != nil {
		return err
	}
	w := newCopier(ctx, p, up, c, first, o)
	if err := w.fill(ctx, src); err != nil {
		return err
	}
	got := stores.Digest{Algo: w.note.Algo, Hex: hex.EncodeToString(w.sum.Sum(nil)), Size: c.Size}
	if c.HashValue != "" && got != wanted(c) {
		err := errcode.New(errcode.VerifyMismatch, "the bytes of image %s in store %s are not those of its digest", c.ImageID, from[0].Store).
			With(errcode.Evidence{Structure: "object", Field: got.Algo, Value: got.Hex, Limit: c.HashValue})
		return errors.Join(err, up.Abort(ctx))
	}
	if err := up.Seal(ctx, c.Size); err != nil {
		return err
	}
	if err := up.Commit(ctx, got); err != nil {
		return committedBefore(ctx, dst, up, c.Key, got, err)
	}
	return nil
}

// What a copy's note means: of one whose bytes pass through here, and of one that is
// read back, since the stores have made it among themselves, or several attempts have.
const (
	copyCodec  = "copy/1"
	cloneCodec = "clone/1"
)

// A copyNote is what an upload that is a copy keeps with its durable bytes.
type copyNote struct {
	Codec string `json:"codec"`
	From  string `json:"from"` // the place that is read first: another one starts again
	Size  int64  `json:"size"`
	Algo  string `json:"algo"`
	Off   int64  `json:"off"` // bytes hashed, and copied before; of whole units, or all
	Sum   []byte `json:"sum"` // state of the hash at Off
}

// copyNoteOf reads the note of an upload, ok false if it is not of this copy.
func copyNoteOf(up stores.Upload, c contract.CopyParams, from string) (n copyNote, ok bool) {
	if json.Unmarshal(up.Note(), &n) != nil || n.Codec != copyCodec && n.Codec != cloneCodec || n.Size != c.Size || n.Algo != copyAlgo(c) || n.From != from {
		return copyNote{}, false
	}
	whole := n.Off >= 0 && n.Off <= n.Size && (n.Off%transfer.UnitBytes == 0 || n.Off == n.Size)
	return n, whole && restore(newHash(n.Algo), n.Sum)
}

// copyAlgo is the digest that is taken; that of an image without one is SHA-256.
func copyAlgo(c contract.CopyParams) string {
	if c.HashAlgo == "" {
		return "sha256"
	}
	return c.HashAlgo
}

func newHash(algo string) hash.Hash {
	if algo == "sha512" {
		return sha512.New()
	}
	return sha256.New()
}

// A copier copies into one upload.
type copier struct {
	p     *Pipeline
	ctx   context.Context
	store string
	up    stores.Upload
	note  copyNote
	sum   hash.Hash
	o     Observe
	saver *saver
}

func newCopier(ctx context.Context, p *Pipeline, up stores.Upload, c contract.CopyParams, from string, o Observe) *copier {
	w := &copier{p: p, ctx: ctx, store: c.Store, up: up, o: o, saver: newSaver(ctx, p, up)}
	var ok bool
	if w.note, ok = copyNoteOf(up, c, from); !ok {
		w.note = copyNote{Codec: copyCodec, From: from, Size: c.Size, Algo: copyAlgo(c)}
	}
	w.sum = newHash(w.note.Algo)
	if ok {
		restore(w.sum, w.note.Sum)
	}
	return w
}

// fill makes the upload the object, and takes its digest. Stores that can make the
// copy among themselves do; then it is the copy that is read, as it is sealed.
func (w *copier) fill(ctx context.Context, src *storedReader) error {
	if w.note.Codec == copyCodec && w.note.Off == 0 {
		if err := w.clone(ctx, src); err != nil {
			return err
		}
	}
	if w.note.Codec == copyCodec {
		resumed := w.note.Off > 0
		if err := w.run(ctx, src.readerAt(), w.write); err != nil || !resumed {
			return err
		}
		// Behind what the attempt before had noted there may be bytes that were not read
		// a second time, where zeros are left out: what is stored has the last word.
		w.sum, w.note.Off, w.saver = newHash(w.note.Algo), 0, newSaver(ctx, w.p, w.up)
		if err := w.whole(); err != nil {
			return err
		}
	}
	if err := w.up.Seal(ctx, w.note.Size); err != nil {
		return err
	}
	r, err := w.up.ReaderAt()
	if err != nil {
		return err
	}
	return w.run(ctx, r, func(u *transfer.Unit) error {
		w.saver.dirty.Add(u.Len) // what a crash would cost
		w.hash(u)
		return nil
	})
}

// clone has the stores make the copy, if they can. What they have made is noted
// before it is read.
func (w *copier) clone(ctx context.Context, src *storedReader) error {
	to, ok := w.up.(stores.Cloner)
	if !ok || src.object == nil || w.note.Size == 0 {
		return nil
	}
	ok, err := to.Clone(ctx, src.object, func(int64) { w.o(0, w.note.Size, nil) })
	if code := errcode.Of(err); ctx.Err() != nil || code == errcode.NoSpace || code == errcode.UploadFenced {
		return err
	}
	if err != nil || !ok {
		return nil // what failed of it is found where the bytes are read and written
	}
	return w.whole()
}

// whole notes that all bytes are there, and are to be read back.
func (w *copier) whole() error {
	w.note.Codec = cloneCodec
	text, err := w.text()
	if err != nil {
		return err
	}
	return w.saver.keep(text)
}

// run copies what is left: ranges are read in parallel, and hashed and written in
// order. Zeros are left out; they are holes in the copy.
func (w *copier) run(ctx context.Context, from io.ReaderAt, each func(*transfer.Unit) error) error {
	w.o(w.note.Off, w.note.Size, nil)
	if w.note.Off == w.note.Size && w.note.Size > 0 {
		return nil
	}
	defer w.saver.ended(true)
	e := w.p.engine()
	e.Window = w.saver.window
	err := e.Run(ctx, raw.New(from, w.note.Size), w.note.Off, w.note.Size, nil, func(u *transfer.Unit) error {
		if err := each(u); err != nil {
			return err
		}
		w.note.Off = u.Off + u.Len
		w.o(w.note.Off, w.note.Size, nil)
		if w.note.Off%transfer.UnitBytes != 0 {
			return nil
		}
		return w.saver.offer(w.text)
	})
	if err != nil {
		return err
	}
	if err := w.saver.ended(true); err != nil {
		return err
	}
	text, err := w.text()
	if err != nil || bytes.Equal(text, w.up.Note()) {
		return err
	}
	return w.saver.keep(text)
}

func (w *copier) write(u *transfer.Unit) error {
	w.hash(u)
	if u.Data != nil {
		w.saver.dirty.Add(u.Len)
		_, err := bandwidth.WriteAt(w.ctx, w.store, w.up, u.Data, u.Off)
		return err
	}
	if z, ok := w.up.(stores.Zeroer); ok {
		return z.WriteZeros(u.Off, u.Len)
	}
	return nil
}

func (w *copier) hash(u *transfer.Unit) {
	if u.Data != nil {
		w.sum.Write(u.Data)
	} else {
		hashZeros(w.sum, u.Len)
	}
}

// text is the note of what has been copied so far.
func (w *copier) text() (text []byte, err error) {
	if w.note.Sum, err = w.sum.(encoding.BinaryMarshaler).MarshalBinary(); err != nil {
		return nil, err
	}
	return json.Marshal(w.note)
}

// CopyTargets returns the stores that are meant, each of which there is.
func (p *Pipeline) CopyTargets(s contract.StoresSpec) ([]string, error) {
	if !s.AllStores {
		for _, name := range s.Stores {
			if _, err := p.store(name); err != nil {
				return nil, err
			}
		}
		return s.Stores, nil
	}
	names := slices.Sorted(maps.Keys(p.Stores))
	names = slices.DeleteFunc(names, func(name string) bool { return stores.IsReadOnly(p.Stores[name]) })
	slices.SortStableFunc(names, func(a, b string) int { return p.rank(a) - p.rank(b) })
	return names, nil
}

// rank puts the default store in front.
func (p *Pipeline) rank(name string) int {
	if name == p.DefaultStore {
		return 0
	}
	return 1
}

// storesOf is CopyTargets for an import whose first store is given, "" for the
// default one.
func (p *Pipeline) storesOf(s contract.StoresSpec, first string) ([]string, error) {
	all, err := p.CopyTargets(s)
	if err != nil {
		return nil, err
	}
	if first == "" {
		first = p.DefaultStore
	}
	out := []string{first}
	for _, name := range all {
		if name != first {
			out = append(out, name)
		}
	}
	if len(out) > contract.MaxStores {
		return nil, errcode.New(errcode.BadRequest, "%s", fmt.Sprintf("%d stores at once, at most %d are taken", len(out), contract.MaxStores))
	}
	return out, nil
}
