package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"ingest/formats/transfer"
	"ingest/internal/fsutil"
	"ingest/sources"
)

const (
	// rangeBytes is what one read of a source brings while it is staged.
	rangeBytes = transfer.UnitBytes

	// rangesInFlight is how many reads are made at one time at most. How many of
	// them are asked of a server at once is for the source to find out.
	rangesInFlight = 16

	// rangeWindow bounds how far reads run ahead of the digest, bytes: so far the
	// page cache may be expected to hold them, and so long the sidecar's list grows.
	rangeWindow = 256 << 20
)

// A span is bytes [From, To) of a staged file.
type span struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// A journal says what this boot of this host has written of a staged file, without
// waiting for the disk. It outlives the process, since what the process wrote is in
// the page cache, and is worth nothing after the host's death or to another host.
type journal struct {
	Boot  string  `json:"boot"`
	Inode uint64  `json:"inode"` // of the staged file
	Known sidecar `json:"known"`
}

func (s staging) journal() string { return s.data() + ".now.json" }

// loadJournal returns what the journal knows, false if it is worth nothing.
func (s staging) loadJournal() (sidecar, bool) {
	text, err := os.ReadFile(s.journal())
	if err != nil {
		return sidecar{}, false
	}
	var j journal
	there, err := os.Stat(s.data())
	if err != nil || json.Unmarshal(text, &j) != nil || j.Boot == "" || j.Boot != fsutil.Boot() || j.Inode != fsutil.Inode(there) {
		return sidecar{}, false
	}
	return j.Known, true
}

// forget removes what is said of the staged file, durably: what is written to it
// from then on is vouched for by nobody.
func (s staging) forget() error {
	if err := s.disown(); err != nil {
		return err
	}
	gone := false
	for _, name := range []string{s.sidecar(), s.journal()} {
		err := os.Remove(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		gone = gone || err == nil
	}
	if !gone {
		return nil
	}
	return fsutil.SyncDir(s.dir)
}

// end is the last byte that the sidecar vouches for, exclusive.
func (c sidecar) end() int64 {
	end := c.Off
	for _, r := range c.Ranges {
		end = max(end, r.To)
	}
	return end
}

// bytes is how many bytes the sidecar vouches for.
func (c sidecar) bytes() int64 {
	n := c.Off
	for _, r := range c.Ranges {
		n += r.To - max(r.From, min(c.Off, r.To))
	}
	return n
}

// ranges copies a random-access source with several reads in flight, in any order.
// The digest is taken behind them, from the page cache.
func (s *stager) ranges(ctx context.Context, p *Pipeline, src sources.Source) error {
	size := src.Pin().Size
	if all := addSizes(s.others, size); s.max > 0 && all > s.max {
		return tooLarge(all, s.max)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := src.ReaderAt(sources.WithDirect(ctx))
	if err != nil {
		return err
	}
	there, err := s.f.Stat()
	if err != nil {
		return err
	}
	state, err := s.h.MarshalBinary()
	if err != nil {
		return err
	}
	b := &ranged{stager: s, r: r, boot: fsutil.Boot(), inode: fsutil.Inode(there), length: there.Size(), dirty: there.Size(), done: slices.Clone(s.c.Ranges)}
	b.kept, b.kept.Ranges, b.kept.State = s.c, nil, state
	b.moved = sync.NewCond(&b.mu)
	for _, end := range s.look.legs(s.c.Off, size) {
		if s.ahead != nil && end == size {
			b.endFirst(size)
		}
		if err := b.leg(ctx, cancel, p, end); err != nil {
			return err
		}
	}
	s.c.Ranges = nil
	if c, ok := src.(checker); ok {
		// Where the validator is a date, the last range may be of another version.
		if err := c.Check(ctx); err != nil {
			return err
		}
	}
	return s.f.Truncate(size)
}

// ranged is a staging in ranges.
type ranged struct {
	*stager
	r     io.ReaderAt
	boot  string
	inode uint64
	dirty int64 // bytes before it may be anything where no range is done

	mu    sync.Mutex
	moved *sync.Cond // a range is done, the digest has moved, or it is over
	next  int64      // where the search for the next range begins
	tail  span       // the file's end, if it is fetched first
	// tailNext is what of it is booked next.
	tailNext int64
	length   int64   // of the file
	done     []span  // in order, apart from each other, not all behind kept.Off
	kept     sidecar // offset and state of the digest
	err      error   // the first
	over     bool
}

// leg stages up to end. With an error it ends the reads by cancel.
func (b *ranged) leg(ctx context.Context, cancel context.CancelFunc, p *Pipeline, end int64) error {
	b.over = false
	var workers sync.WaitGroup
	for range rangesInFlight {
		workers.Go(func() { b.fail(b.fetch(ctx, end)) })
	}
	stop := context.AfterFunc(ctx, func() { b.fail(context.Cause(ctx)) })
	err := b.digest(p, end)
	stop()
	b.mu.Lock()
	b.over = true
	b.moved.Broadcast()
	b.mu.Unlock()
	if err != nil {
		cancel()
	}
	workers.Wait()
	return err
}

// fail notes the first error and wakes everybody.
func (b *ranged) fail(err error) {
	if err == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil && !b.over {
		b.err = err
	}
	b.moved.Broadcast()
}

// fetch reads range after range until there are no more before end.
func (b *ranged) fetch(ctx context.Context, end int64) error {
	buf := make([]byte, rangeBytes)
	for {
		one, ok := b.book(end)
		if !ok {
			return nil
		}
		p := buf[:one.To-one.From]
		if n, err := b.r.ReadAt(p, one.From); n < len(p) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		if err := b.keep(one, p); err != nil {
			return err
		}
	}
}

// book returns the next range that nobody has read or reads; false at the end.
func (b *ranged) book(end int64) (span, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if one, ok := b.bookTail(); ok {
		return one, true
	}
	for {
		from := max(b.next, b.kept.Off)
		limit := end
		skip := func(have span) {
			if have.From <= from && from < have.To {
				from = have.To
			} else if from < have.From {
				limit = min(limit, have.From)
			}
		}
		for _, have := range b.done {
			skip(have)
		}
		if b.tail.To > 0 {
			skip(b.tail)
		}
		if b.err != nil || b.over || from >= end {
			return span{}, false
		}
		if from-b.kept.Off >= rangeWindow {
			b.moved.Wait()
			continue
		}
		to := min(limit, (from/rangeBytes+1)*rangeBytes)
		b.next = to
		return span{from, to}, true
	}
}

// keep writes a range, unless it is of zeros where nothing is, and journals it.
func (b *ranged) keep(one span, p []byte) error {
	hole := allZeros(p) && (one.From >= b.dirty || b.hole(one))
	if !hole {
		if _, err := b.f.WriteAt(p, one.From); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if hole && b.length < one.To {
		// The length tells that the zeros are meant.
		if err := b.grow(one.To); err != nil {
			return err
		}
	}
	b.length = max(b.length, one.To)
	b.done = joined(b.done, one)
	b.moved.Broadcast()
	if err := b.note(); err != nil {
		return err
	}
	// Nobody reads what another attempt may fetch anew.
	b.grown.add(one)
	return nil
}

// grow makes the file at least n bytes long, whatever others write beside it.
func (b *ranged) grow(n int64) error {
	// One byte at the end: Truncate might cut what has just been written.
	st, err := b.f.Stat()
	if err != nil || st.Size() >= n {
		return err
	}
	_, err = b.f.WriteAt([]byte{0}, n-1)
	return err
}

// note writes the journal. The lock is held.
func (b *ranged) note() error {
	if b.boot == "" || b.owned(b.f) != nil {
		return nil
	}
	known := b.kept
	known.Ranges = b.done
	text, err := json.Marshal(journal{b.boot, b.inode, known})
	if err != nil {
		return err
	}
	temp := filepath.Join(b.dir, b.name+".now"+fsutil.TempSuffix)
	err = os.WriteFile(temp, text, 0o600)
	if err == nil {
		err = os.Rename(temp, b.journal())
	}
	if errors.Is(err, os.ErrNotExist) { // removed since
		return b.owned(b.f)
	}
	return err
}

// digest takes the digests of what is there, in order, up to end, and writes the
// checkpoints.
func (b *ranged) digest(p *Pipeline, end int64) error {
	buf := make([]byte, rangeBytes)
	for b.c.Off < end {
		to, err := b.ready(end)
		if err != nil {
			return err
		}
		for b.c.Off < to {
			part := buf[:min(to-b.c.Off, rangeBytes)]
			if _, err := b.f.ReadAt(part, b.c.Off); err != nil {
				return err
			}
			b.h.Write(part)
			b.c.Off += int64(len(part))
			b.o(b.c.Off, b.c.Pin.Size, sign("staged", b.c.Off))
			// Whoever is told may give up, and all may be there already.
			if b.ctx.Err() != nil {
				return context.Cause(b.ctx)
			}
			if err := b.looked(); err != nil {
				return err
			}
			if err := b.advance(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// ready waits until there are bytes behind the digest, and returns up to where.
func (b *ranged) ready(end int64) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		if b.err != nil {
			return 0, b.err
		}
		for _, have := range b.done {
			if have.From <= b.c.Off && b.c.Off < have.To {
				return min(have.To, end), nil
			}
		}
		b.moved.Wait()
	}
}

// advance notes how far the digest is, and writes a checkpoint if one is due.
func (b *ranged) advance(p *Pipeline) error {
	state, err := b.h.MarshalBinary()
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.kept.Off, b.kept.State = b.c.Off, state
	for len(b.done) > 0 && b.done[0].To <= b.c.Off {
		b.done = b.done[1:]
	}
	known := b.kept
	known.Ranges = slices.Clone(b.done)
	err = b.err
	b.moved.Broadcast()
	b.mu.Unlock()
	if err != nil || !p.checkpointDue(b.last, b.c.Off-b.lastOff) {
		return err
	}
	return b.checkpointOf(known)
}

func allZeros(p []byte) bool {
	for len(p) > 0 {
		n := min(len(p), len(zeros))
		if !bytes.Equal(p[:n], zeros[:n]) {
			return false
		}
		p = p[n:]
	}
	return true
}
