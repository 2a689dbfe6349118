package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"ingest/detect"
	"ingest/formats"
	"ingest/formats/raw"
	"ingest/formats/transfer"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/stores"
)

const (
	// aheadLeast is the least that a source must have: a shorter one is there before
	// anything is gained.
	aheadLeast = 16 << 20

	// aheadFactor bounds what is written ahead by what has been fetched: nothing has
	// proved yet that a small file does not claim to be a large disk, many times over.
	aheadFactor = 16
	aheadSlack  = 64 << 20
)

// aheadGrace is how long a conversion may take to put its note down when its fetch is
// done. Tests of what is gone on with have more of it.
var aheadGrace = 2 * time.Second

// Why a conversion ahead ends, other than by its end. What it has written is kept.
var (
	errHalted    = errors.New("the fetch is done, the rest is for the conversion's turn")
	errFarAhead  = errors.New("much more would be written than has been fetched")
	errFetchOver = errors.New("the fetch has ended")
)

// An ahead is a conversion that runs while its source is staged. It reads what has
// come in, waits for what has not, and writes into the upload in which the step
// Convert goes on. Its errors are nobody's: whatever is wrong is found again, and
// said, by the step whose turn it is.
type ahead struct {
	p        *Pipeline
	ctx      context.Context
	cancel   context.CancelCauseFunc
	f        contract.FetchParams
	key      string
	staged   staging
	boot     string
	file     *os.File // that is staged
	fetching *growing
	random   bool         // the file's end comes before its middle
	size     int64        // of the source, bytes
	head     formats.Name // what the source's first bytes are, "" for nothing known
	about    *contract.About

	started bool
	ended   chan struct{} // closed when it has ended
	halted  atomic.Bool   // the next note is the last
	written atomic.Int64  // bytes
}

// aheadOf returns the conversion that may begin while the image's only file is staged,
// nil if there is none: it is read in place, or in a layer, or what names the upload is
// not known before the end.
func (p *Pipeline) aheadOf(ctx context.Context, f contract.FetchParams, parts []*part) *ahead {
	first := parts[0]
	declared := formats.Name(strings.ToLower(strings.TrimSpace(f.Source.Format)))
	if f.Ahead == nil || len(parts) > 1 || first.direct() || first.layer != "" || first.size < aheadLeast || detect.Opaque(declared) {
		return nil
	}
	as := fetchedOf(first.spec, first.project, first.src.Pin())
	as.SourceDigest = first.want.text()
	pin := as.Pin()
	if pin == "" {
		return nil
	}
	a := &ahead{p: p, f: f, boot: fsutil.Boot(), random: first.src.Pin().Random, size: first.size, staged: first.staged, about: first.about,
		key: contract.DiskKey(f.TaskID, f.ImageID, f.Ahead.Round, pin, 0)}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	return a
}

// looked takes the look at the first bytes, and begins the conversion when it has
// found nothing wrong.
func (s *stager) looked() error {
	if err := s.look.at(s.f, s.c.Off); err != nil {
		return err
	}
	if a := s.ahead; a != nil && !a.started && s.look != nil && s.look.done {
		a.started = true
		a.file, a.fetching, a.head = s.f, s.grown, s.look.found
		a.begin()
	}
	return nil
}

// begin begins to convert, unless enough others do.
func (a *ahead) begin() {
	most := int64(a.p.Ahead)
	if most == 0 {
		most = 2
	}
	if a.p.aheads.Add(1) > most {
		a.p.aheads.Add(-1)
		return
	}
	a.ended = make(chan struct{})
	go func() {
		defer close(a.ended)
		defer a.p.aheads.Add(-1)
		a.run()
	}()
}

// stop ends the conversion and waits for it. If the fetch is whole, it may put down
// how far it has come.
func (a *ahead) stop(whole bool) {
	defer a.cancel(errFetchOver)
	if a.ended == nil {
		return
	}
	if !whole {
		a.cancel(errFetchOver)
	} else {
		a.halted.Store(true)
		late := time.AfterFunc(aheadGrace, func() { a.cancel(errFetchOver) })
		defer late.Stop()
	}
	<-a.ended
}

// halting reports whether the next note is the last.
func (a *ahead) halting() bool { return a != nil && a.halted.Load() }

// run converts. What cannot be gone on with is thrown away at once.
func (a *ahead) run() {
	err := a.convert()
	switch {
	case err == nil, a.ctx.Err() != nil, a.halted.Load(), errors.Is(err, errFarAhead), errcode.Of(err) == errcode.UploadFenced:
		return
	}
	rec := a.staged.aheadRecord()
	if err := a.p.dropAhead(a.ctx, a.staged); err != nil || rec.Key == "" {
		return
	}
	space := a.p.claim(Claim{TaskID: a.f.TaskID, Kind: ClaimStore, Part: a.f.ImageID, Store: rec.Store, Key: rec.Key})
	_ = space.set(a.ctx, 0, 0)
}

// convert is the conversion. A panic is an error like others: nothing has judged the
// image yet.
func (a *ahead) convert() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errcode.New(errcode.ParserCrash, "the conversion failed in an unforeseen way: %v", r)
		}
	}()
	store, err := a.p.store(a.f.Ahead.Target.Store)
	if err != nil {
		return err
	}
	disk, format, err := a.open()
	if err != nil {
		return err
	}
	defer disk.Close()
	target, err := a.p.target(format, a.about, a.f.Ahead.Target)
	if err == nil {
		err = a.p.fits(target, disk.Size())
	}
	if err != nil {
		return err
	}
	token, err := a.own(store)
	if err != nil {
		return err
	}
	begun := &aheadNote{Token: token, Format: string(format)}
	c := contract.ConvertParams{TaskID: a.f.TaskID, ImageID: a.f.ImageID, Target: target, Key: a.key}
	fits := func(up stores.Upload) bool {
		_, ok, err := a.p.resumeNote(up, target, disk, begun)
		return ok && err == nil
	}
	_, err = a.p.writeUpload(a.ctx, store, disk, c, work{store: store.Name(), hash: true, begun: begun, early: a}, fits, ignore)
	return err
}

// open opens the disk. If the source's end has come, it is recognised as it will be
// at its turn; if not, by its head alone, and only what is at home there.
func (a *ahead) open() (formats.Disk, formats.Name, error) {
	r := a.fetching.reader(a.ctx)
	if a.f.Ahead.Target.AsIs {
		return raw.New(r, a.size), asIsFormat, nil
	}
	var disk formats.Disk
	format := a.head
	if a.random {
		rep, d, err := a.p.detect().Detect(a.ctx, r, a.size, detect.Options{Declared: formats.Name(a.f.Source.Format), Limits: a.p.Limits, Uncounted: true})
		if err != nil {
			return nil, "", err
		}
		disk, format = d, rep.DiskFormat
	} else {
		if declared := formats.Name(strings.ToLower(strings.TrimSpace(a.f.Source.Format))); format == "" && (declared == "" || declared == formats.Raw) {
			format = formats.Raw
		}
		i := slices.IndexFunc(a.p.Readers, func(f formats.Format) bool { return f.Name() == format })
		if i < 0 || format != formats.Raw && format != formats.QCOW2 && format != formats.VMDK {
			return nil, "", fmt.Errorf("%q is not known by its head", format)
		}
		d, err := a.p.Readers[i].Open(r, a.size, a.p.Limits)
		if err != nil {
			return nil, "", err
		}
		disk = d
	}
	if disk.Info().Unreadable != nil || disk.Size() == 0 {
		return nil, "", errors.Join(errors.New("there is nothing to read"), disk.Close())
	}
	return disk, format, nil
}

// own makes the record of the upload before there is one, so that whoever cleans up
// knows of it, and returns the token of what this fetch writes. A record that stands
// beside another file than the one that is read here is another attempt's.
func (a *ahead) own(store stores.Store) (string, error) {
	rec := a.staged.aheadRecord()
	if err := a.staged.owned(a.file); err != nil {
		return "", err
	}
	same := rec.Store == store.Name() && rec.Key == a.key
	if same && rec.Token != "" {
		return rec.Token, nil
	}
	if rec.Key != "" && !same {
		if err := a.p.dropAhead(a.ctx, a.staged); err != nil {
			return "", err
		}
	}
	rec = aheadRecord{Store: store.Name(), Key: a.key, Token: stores.NewRandom(), Boot: a.boot}
	if err := a.staged.saveAhead(rec); err != nil {
		return "", err
	}
	// Asked behind the record: who throws the file away takes the token first.
	return rec.Token, a.staged.owned(a.file)
}

// admit refuses to write n bytes more if they are out of proportion to what has been
// fetched.
func (a *ahead) admit(n int64) error {
	if a.written.Add(n) > aheadSlack+aheadFactor*a.fetching.arrived() {
		return errFarAhead
	}
	return nil
}

// admit claims the space of n bytes at off.
func (w *writer) admit(off, n int64) error {
	if w.early == nil {
		return w.space.reach(w.ctx, off+n)
	}
	if err := w.early.admit(n); err != nil {
		return err
	}
	return w.space.wrote(w.ctx, n, off+n)
}

// halt keeps a last note and ends the writing.
func (w *writer) halt(at formats.Checkpoint) error {
	w.n.Checkpoint = at
	text, err := w.note()
	if err == nil {
		err = w.saver.keep(text)
	}
	if err == nil {
		err = errHalted
	}
	return err
}

// aheadMemory is what a conversion ahead holds at once: a quarter of what one has that
// nothing else waits for, bytes.
func aheadMemory(memory int64) int64 {
	if memory <= 0 {
		memory = transfer.DefaultMemory
	}
	return max(1, memory/4)
}
