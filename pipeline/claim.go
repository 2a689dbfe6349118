package pipeline

import (
	"context"
	"sync"

	"ingest/formats"
	"ingest/internal/errcode"
)

// Kinds of space.
const (
	ClaimStage = "stage" // in the staging of this host
	ClaimStore = "store" // in a store
)

// A Claim is space that a task wants to have for itself.
type Claim struct {
	TaskID string
	Kind   string // ClaimStage or ClaimStore
	Part   string // what it is for: the staged file's name, the image's id
	Store  string // name of the store, of ClaimStore
	Key    string // of the object there
	Bytes  int64  // that the file has
	Room   int64  // that it takes on the device, at most: holes take none
}

// A Keeper of space promises it before it is used.
type Keeper interface {
	// Claim sets what the task has for the part, more or less than it had.
	// errcode.NoSpace says that there is no room, errcode.QuotaExceeded that its
	// project may not have so much; the task then has what it had.
	Claim(ctx context.Context, c Claim) error
}

// Bounds of what is claimed at once for a file whose size is not known: little at
// first, so that a small file fits a small quota, and more and more, so that a
// large one asks seldom.
const (
	firstClaim = 4 << 20
	mostClaim  = 1 << 30
)

// A claim follows a file that grows. A nil claim admits everything. It is safe for
// concurrent use.
type claim struct {
	keeper Keeper

	mu    sync.Mutex
	c     Claim
	asked bool // c is what the task has
	// written counts what wrote was told of.
	written int64
}

// claim returns the claim of a part; nobody is asked yet.
func (p *Pipeline) claim(c Claim) *claim {
	if p.Space == nil || c.TaskID == "" { // a dry run belongs to no task
		return nil
	}
	return &claim{keeper: p.Space, c: c}
}

// part returns the claim of another part of the task.
func (c *claim) part(name string) *claim {
	if c == nil {
		return nil
	}
	return &claim{keeper: c.keeper, c: Claim{TaskID: c.c.TaskID, Kind: c.c.Kind, Part: name}}
}

// set claims what is known: bytes of the file, of which room are no holes.
func (c *claim) set(ctx context.Context, bytes, room int64) error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ask(ctx, bytes, room)
}

func (c *claim) ask(ctx context.Context, bytes, room int64) error {
	want := c.c
	want.Bytes, want.Room = bytes, room
	if c.asked && want == c.c {
		return nil
	}
	if err := c.keeper.Claim(ctx, want); err != nil {
		return err
	}
	c.c, c.asked = want, true
	return nil
}

// reach claims more if the file does not end before end. Where the next step does
// not fit, just what is needed may.
func (c *claim) reach(ctx context.Context, end int64) error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if end <= c.c.Bytes {
		return nil
	}
	step := addSizes(c.c.Bytes, min(max(c.c.Bytes, firstClaim), mostClaim))
	err := c.ask(ctx, max(step, end), max(step, end))
	if code := errcode.Of(err); step > end && (code == errcode.NoSpace || code == errcode.QuotaExceeded) {
		err = c.ask(ctx, end, end)
	}
	return err
}

// wrote claims more if n bytes more than those so far, of which the last stands before
// end, are more than is claimed: the room is that of what is written, wherever it stands.
func (c *claim) wrote(ctx context.Context, n, end int64) error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written += n
	if c.asked && c.written <= c.c.Room && end <= c.c.Bytes {
		return nil
	}
	room := c.c.Room
	if c.written > room {
		room = addSizes(c.written, min(max(c.written, firstClaim), mostClaim))
	}
	return c.ask(ctx, max(end, c.c.Bytes), room)
}

// settle gives back what was claimed beyond the size that the file came to.
func (c *claim) settle(ctx context.Context, size int64) error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	room := size
	if c.asked {
		room = min(c.c.Room, size)
	}
	return c.ask(ctx, size, room)
}

// planned claims what a plan will take: its length, and as room what is no hole.
func (c *claim) planned(ctx context.Context, plan formats.Plan) error {
	if c == nil {
		return nil
	}
	room := int64(0)
	for off := int64(0); off < plan.Size(); {
		start, end, err := plan.NextData(off)
		if err != nil {
			return err
		}
		if start == end { // nothing but a hole to the end
			break
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		room += end - start
		off = end
	}
	return c.set(ctx, plan.Size(), room)
}
