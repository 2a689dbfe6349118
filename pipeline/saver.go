package pipeline

import (
	"context"
	"sync/atomic"
	"time"

	"ingest/formats/transfer"
	"ingest/internal/readahead"
	"ingest/stores"
)

// LostByKill is the most that one import reads and writes once more when its process
// is killed, at whatever moment, bytes. What a copy has in hand is one of three: read
// ahead of it and kept by the source's reader; taken in, up to what is not vouched for
// yet; and the borders of what was asked for, where chunks are larger than what is
// wanted of them.
const LostByKill = 64 << 20

const (
	// windowBytes is what a copy takes in before what it made of it is safe.
	windowBytes = LostByKill - readahead.DefaultMemory - borderBytes
	borderBytes = 8 << 20

	// markBytes is what is taken in between two marks: they cost a small file.
	markBytes = 8 << 20
	// saveBytes is what is taken in between two checkpoints of a store that has no
	// marks. A checkpoint is made beside the copy, which goes on as far as the window
	// lets it.
	saveBytes = 12 << 20
)

// A window that no save can open, and reads ahead that leave no room, do not compile.
const (
	_ = uint(windowBytes - 2*saveBytes - transfer.UnitBytes)
	_ = uint(saveBytes - markBytes)
	_ = uint(readahead.DefaultMemory - storedMemory)
)

// A saver keeps notes with an upload while it is written. Checkpoints are made beside
// the writing; between them, uploads that have marks get some.
type saver struct {
	p      *Pipeline
	ctx    context.Context
	up     stores.Upload
	window *transfer.Window

	dirty   atomic.Int64 // bytes written since the last checkpoint
	last    time.Time    // when that was begun
	marked  int64        // Reached of the last mark
	running chan error   // the checkpoint that is being made, nil if there is none
}

func newSaver(ctx context.Context, p *Pipeline, up stores.Upload) *saver {
	return &saver{p: p, ctx: ctx, up: up, window: transfer.NewWindow(windowBytes), last: time.Now()}
}

// offer keeps the note of this moment, if one is due. It is called between two units,
// and note at once or not at all.
func (s *saver) offer(note func() ([]byte, error)) error {
	if err := s.ended(false); err != nil {
		return err
	}
	unsafe, reached := s.window.Unsafe(), s.window.Reached()
	marker, marks := s.up.(stores.Marker)
	if marks {
		_, sealed := s.up.Sealed()
		marks = !sealed // then it takes none any more
	}
	due := s.running == nil && (s.p.checkpointDue(s.last, s.dirty.Load()) || !marks && unsafe >= saveBytes)
	mark := marks && reached-s.marked >= markBytes
	if !due && !mark {
		return nil
	}
	text, err := note()
	if err != nil {
		return err
	}
	if mark {
		s.marked = reached
		s.window.Saving()
		err := marker.Mark(s.ctx, text)
		s.window.Saved(reached, err == nil)
		if err != nil {
			return err
		}
	}
	if due {
		s.begin(text, reached)
	}
	return nil
}

// begin begins a checkpoint beside the writing.
func (s *saver) begin(text []byte, reached int64) {
	s.last = time.Now()
	s.dirty.Store(0)
	s.window.Saving()
	running := make(chan error, 1)
	s.running = running
	go func() {
		err := s.up.Checkpoint(s.ctx, text)
		running <- err
		s.window.Saved(reached, err == nil)
	}()
}

// ended returns the error of the checkpoint that was being made, if it has ended or
// is waited for.
func (s *saver) ended(wait bool) error {
	if s.running == nil {
		return nil
	}
	if !wait {
		select {
		case err := <-s.running:
			s.running = nil
			return err
		default:
			return nil
		}
	}
	err := <-s.running
	s.running = nil
	return err
}

// keep makes a checkpoint and waits for it.
func (s *saver) keep(text []byte) error {
	if err := s.ended(true); err != nil {
		return err
	}
	s.last = time.Now()
	s.dirty.Store(0)
	return s.up.Checkpoint(s.ctx, text)
}
