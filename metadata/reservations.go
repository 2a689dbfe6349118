package metadata

import (
	"context"
	"strconv"
	"time"

	"ingest/internal/errcode"
)

// Kinds of reservations.
const (
	ReserveStage = "stage" // bytes of a source in the staging of a host
	ReserveStore = "store" // bytes of an image in a store
)

// A Reservation is space that a task has been promised before it uses it. It
// lives as long as its task is not finished: the transaction that ends the task
// removes it.
type Reservation struct {
	TaskID string
	Kind   string // ReserveStage or ReserveStore
	Part   string // what it is for: a staged file's name, an image's id
	Owner  string // project; that of the task
	Place  string // the store's name, or the host's task queue
	Key    string // of the object in the store; "" in staging
	// Bytes counts against the owner's quota, and Room is how much of the place
	// it takes: a file with holes takes less than its length.
	Bytes     int64
	Room      int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// A Room says how much a place has left, as found before it was asked for.
type Room struct {
	Free int64 // bytes that can still be written; negative if the place cannot tell
	// Used is how much of what is reserved is written already and so missing
	// from Free, by part; it was measured before Free.
	Used map[Part]int64
	// Promised is the room of each part as it was when this was measured. One that is gone
	// since may have been written whole, which Free does not show.
	Promised map[Part]int64
}

// A Part names a reservation.
type Part struct{ TaskID, Kind, Part string }

// Of returns the name of a reservation.
func (r Reservation) Of() Part { return Part{r.TaskID, r.Kind, r.Part} }

// Reserve sets a task's reservation to what r says, greater or smaller than it
// was, in the transaction that finds that there is room. errcode.QuotaExceeded
// says that its owner may not have so much, errcode.NoSpace that the place does
// not, errcode.Conflict that the task has ended. What was reserved before then
// stays as it is.
func (c *Catalogue) Reserve(ctx context.Context, r Reservation, room Room) error {
	if r.Bytes < 0 || r.Room < 0 {
		return errcode.New(errcode.BadRequest, "task %s reserves less than nothing", r.TaskID)
	}
	return c.repo.InTx(ctx, func(tx Tx) error {
		t, err := unfinished(ctx, tx, r.TaskID)
		if err != nil {
			return err
		}
		all, err := tx.Reservations(ctx)
		if err != nil {
			return err
		}
		now := c.moment()
		row := r
		row.Owner, row.CreatedAt, row.UpdatedAt = t.Owner, now, now
		old := Reservation{}
		for _, have := range all {
			if have.Of() == r.Of() {
				old, row.CreatedAt = have, have.CreatedAt
			}
		}
		if row.Bytes > old.Bytes {
			if err := c.admitBytes(ctx, tx, row, old.Bytes); err != nil {
				return err
			}
		}
		if row.Room > old.Room || row.Place != old.Place {
			if err := admitRoom(row, all, room); err != nil {
				return err
			}
		}
		return tx.PutReservation(ctx, row)
	})
}

// admitBytes holds a reservation against its owner's quota.
func (c *Catalogue) admitBytes(ctx context.Context, tx Tx, r Reservation, had int64) error {
	l := c.limitsOf(r.Owner)
	if r.Kind == ReserveStage && l.StageBytes < 0 || r.Kind == ReserveStore && l.ImageBytes < 0 {
		return nil
	}
	u, err := tx.Usage(ctx, r.Owner)
	if err != nil {
		return err
	}
	if r.Kind == ReserveStage {
		return within(QuotaStageBytes, r.Owner, sum(u.StageBytes-had, r.Bytes), l.StageBytes)
	}
	return within(QuotaImageBytes, r.Owner, sum(u.ImageBytes+u.Reserved-had, r.Bytes), l.ImageBytes)
}

// sum adds two sizes without running over.
func sum(a, b int64) int64 {
	if a > 0 && b > 1<<63-1-a {
		return 1<<63 - 1
	}
	return a + b
}

// admitRoom holds a reservation against what its place has left, once all that
// is promised there has been written.
func admitRoom(r Reservation, all []Reservation, room Room) error {
	if room.Free < 0 {
		return nil
	}
	left, there := room.Free, map[Part]bool{r.Of(): true}
	for _, have := range all {
		there[have.Of()] = true
		if have.Place == r.Place && have.Kind == r.Kind && have.Of() != r.Of() {
			left -= max(0, have.Room-room.Used[have.Of()])
		}
	}
	for part, promised := range room.Promised {
		if !there[part] {
			left -= max(0, promised-room.Used[part])
		}
	}
	need := max(0, r.Room-room.Used[r.Of()])
	if need <= left {
		return nil
	}
	what := "staging"
	if r.Kind == ReserveStore {
		what = "store " + r.Place
	}
	return errcode.New(errcode.NoSpace, "%s has %d bytes left that nobody has reserved, task %s needs %d more", what, max(0, left), r.TaskID, need).
		With(errcode.Evidence{Structure: what, Field: "free bytes", Value: strconv.FormatInt(max(0, left), 10), Limit: strconv.FormatInt(need, 10)})
}

// Reservations lists what is reserved, by task, kind and part.
func (c *Catalogue) Reservations(ctx context.Context) ([]Reservation, error) {
	return view(ctx, c, func(tx Tx) ([]Reservation, error) { return tx.Reservations(ctx) })
}

// DropReservations removes the reservations of tasks that are finished or gone,
// and returns them. Only a catalogue that was put back from a backup, or written
// by hand, has any.
func (c *Catalogue) DropReservations(ctx context.Context) ([]Reservation, error) {
	return update(ctx, c, func(tx Tx) ([]Reservation, error) {
		stray, err := strays(ctx, tx)
		for _, r := range stray {
			if err := tx.DeleteReservations(ctx, r.TaskID); err != nil {
				return nil, err
			}
		}
		return stray, err
	})
}

// StrayReservations lists what DropReservations would remove.
func (c *Catalogue) StrayReservations(ctx context.Context) ([]Reservation, error) {
	return view(ctx, c, func(tx Tx) ([]Reservation, error) { return strays(ctx, tx) })
}

func strays(ctx context.Context, tx Tx) ([]Reservation, error) {
	all, err := tx.Reservations(ctx)
	var out []Reservation
	for _, r := range all {
		t, err := tx.Task(ctx, r.TaskID)
		if isNotFound(err) {
			waits, err := isUpload(ctx, tx, r)
			if err != nil {
				return nil, err
			}
			if !waits {
				out = append(out, r)
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if t.Status.Finished() {
			out = append(out, r)
		}
	}
	return out, err
}

// size is what an activation's images take in all stores, bytes.
func (a Activation) size() int64 {
	var n int64
	for _, ia := range a.Images {
		for range 1 + len(ia.Copies) {
			n = sum(n, ia.Size)
		}
	}
	return n
}

// covered reports whether what a task has stored takes no more than it has
// reserved; if not, it is held against the quota once more. A quota that was
// lowered meanwhile does not undo what was promised.
func (c *Catalogue) covered(ctx context.Context, tx Tx, t Task, stored int64) error {
	l := c.limitsOf(t.Owner)
	if l.ImageBytes < 0 {
		return nil
	}
	all, err := tx.Reservations(ctx)
	if err != nil {
		return err
	}
	var promised int64
	for _, r := range all {
		if r.TaskID == t.ID && r.Kind == ReserveStore {
			promised = sum(promised, r.Bytes)
		}
	}
	if stored <= promised {
		return nil
	}
	u, err := tx.Usage(ctx, t.Owner)
	if err != nil {
		return err
	}
	return within(QuotaImageBytes, t.Owner, sum(u.ImageBytes+u.Reserved-promised, stored), l.ImageBytes)
}
