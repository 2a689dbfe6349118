// Package space keeps account of the room in staging and in the stores. What a
// task claims is written into the catalogue, in one transaction with the look
// whether there is room for it: what is free now, less what others have been
// promised and have not written yet.
package space

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ingest/internal/fsutil"
	"ingest/metadata"
	"ingest/pipeline"
	"ingest/sources/staged"
	"ingest/stores"
)

// A Keeper is a pipeline.Keeper over the catalogue. It is safe for concurrent use.
type Keeper struct {
	Catalogue  *metadata.Catalogue
	Stores     map[string]stores.Store
	StagingDir string
	// Host names this host's staging among others; contract.HostQueue does.
	Host string
	// Spare is what is promised to nobody, bytes: catalogue and workflows often lie on
	// the same disk, and must be able to record that it is full.
	Spare int64
	// Free measures what is left below a folder, bytes; nil means fsutil.Free.
	Free func(dir string) (int64, error)

	mu sync.Mutex
}

var _ pipeline.Keeper = (*Keeper)(nil)

// Claim implements pipeline.Keeper.
func (k *Keeper) Claim(ctx context.Context, c pipeline.Claim) error {
	r := metadata.Reservation{TaskID: c.TaskID, Kind: metadata.ReserveStage, Part: c.Part, Place: k.Host, Bytes: c.Bytes, Room: c.Room}
	if c.Kind == pipeline.ClaimStore {
		r.Kind, r.Place, r.Key = metadata.ReserveStore, c.Store, c.Key
	}
	return k.Promise(ctx, r, func(room metadata.Room) error { return k.Catalogue.Reserve(ctx, r, room) })
}

// Promise measures the place of a reservation and has that recorded which is promised
// there. One at a time does so: what was promised, written and ended between another one's
// look and its record would be seen by neither.
func (k *Keeper) Promise(ctx context.Context, r metadata.Reservation, record func(metadata.Room) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	measure := k.staging
	if r.Kind == metadata.ReserveStore {
		measure = k.store
	}
	room, err := measure(ctx, r)
	if err != nil {
		return err
	}
	return record(room)
}

// others lists who has reserved something in the same place, r's task included.
func (k *Keeper) others(ctx context.Context, r metadata.Reservation) ([]metadata.Reservation, error) {
	all, err := k.Catalogue.Reservations(ctx)
	var out []metadata.Reservation
	for _, have := range all {
		if have.Kind == r.Kind && have.Place == r.Place {
			out = append(out, have)
		}
	}
	return out, err
}

// staging measures the staging of this host. What is used is measured before what
// is free: what is written in between then counts twice, and never not at all.
func (k *Keeper) staging(ctx context.Context, r metadata.Reservation) (metadata.Room, error) {
	parts, err := k.others(ctx, r)
	if err != nil {
		return metadata.Room{}, err
	}
	room := metadata.Room{Free: -1, Used: map[metadata.Part]int64{}, Promised: map[metadata.Part]int64{}}
	for _, have := range parts {
		room.Promised[have.Of()] = have.Room
		dir := filepath.Join(k.StagingDir, filepath.Base(have.TaskID))
		// What a client sends has a name of its own.
		room.Used[have.Of()] = allocated(filepath.Join(dir, filepath.Base(have.Part))) + allocated(filepath.Join(dir, staged.FileName))
	}
	free := k.Free
	if free == nil {
		free = fsutil.Free
	}
	if n, err := free(k.StagingDir); err == nil {
		room.Free = max(n-k.Spare, 0)
	}
	return room, nil
}

// store measures a store. One that cannot tell how much room it has has enough.
func (k *Keeper) store(ctx context.Context, r metadata.Reservation) (metadata.Room, error) {
	room := metadata.Room{Free: -1, Used: map[metadata.Part]int64{}, Promised: map[metadata.Part]int64{}}
	st := k.Stores[r.Place]
	sp, ok := st.(stores.Space)
	if !ok {
		return room, nil
	}
	parts, err := k.others(ctx, r)
	if err != nil {
		return room, err
	}
	written := map[string]int64{}
	for u, err := range st.Uploads(ctx, time.Now().Add(time.Hour)) {
		if err != nil {
			return room, err
		}
		written[u.Key] += u.Bytes
	}
	for _, have := range parts {
		room.Promised[have.Of()] = have.Room
		n, uploading := written[have.Key]
		if !uploading && have.Key != "" {
			// Committed, while its task has still to end.
			if _, err := st.Stat(ctx, have.Key); err == nil {
				n = have.Room
			}
		}
		room.Used[have.Of()] = n
	}
	if n, err := sp.Free(ctx); err == nil {
		room.Free = max(n-k.Spare, 0)
	}
	return room, nil
}

// allocated is what a file takes on its disk, bytes; 0 if there is none.
func allocated(name string) int64 {
	st, err := os.Lstat(name)
	if err != nil || !st.Mode().IsRegular() {
		return 0
	}
	return fsutil.Allocated(st)
}
