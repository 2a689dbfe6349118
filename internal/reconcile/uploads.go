package reconcile

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/contract"
	"ingest/metadata"
)

// Silence after which an upload is given up, and the time for which staged bytes wait
// for their import.
const (
	DefaultUploadSilence  = time.Minute
	DefaultStagedLifetime = 24 * time.Hour
)

// Uploads gives up what no server receives any more: the image is queued again, and
// nothing of the bytes is left. A server that receives an upload says so every few
// seconds.
type Uploads struct {
	Catalogue *metadata.Catalogue
	// Discard removes the bytes of an upload, if they can be reached from here.
	Discard func(ctx context.Context, u contract.Upload) error
	Silence time.Duration    // 0 means DefaultUploadSilence
	Waits   time.Duration    // 0 means DefaultStagedLifetime
	Now     func() time.Time // nil means time.Now
	Log     zerolog.Logger
}

// Run gives up at once and then every interval, until the context ends.
func (s *Uploads) Run(ctx context.Context, interval time.Duration) {
	Every(ctx, interval, s.Log, "give up uploads", func(ctx context.Context) error { return s.Once(ctx, false) })
}

// Once looks at every upload. With all, every one is given up that does not wait for
// its import: no other server uses the catalogue, and this one receives none yet. One
// upload's trouble does not keep it from the others; the last error is returned.
func (s *Uploads) Once(ctx context.Context, all bool) error {
	list, err := s.Catalogue.Uploads(ctx)
	if err != nil {
		return err
	}
	var last error
	for _, u := range list {
		if !s.over(u, all) {
			continue
		}
		given, err := s.Catalogue.AbandonUpload(ctx, u)
		if err == nil && given {
			s.Log.Info().Str("image", u.ImageID).Time("since", u.Touched).Msg("gave up an upload that nobody receives")
			c := contract.Upload{ID: u.ID, ImageID: u.ImageID, Stage: u.Staged}
			if !u.Staged {
				c.Store = u.Place
			}
			err = s.Discard(ctx, c)
		}
		if err != nil {
			last = err
		}
	}
	return last
}

func (s *Uploads) over(u metadata.Upload, all bool) bool {
	limit := s.Silence
	if limit == 0 {
		limit = DefaultUploadSilence
	}
	if u.Staged && u.Key == metadata.StagedWhole {
		all = false
		if limit = s.Waits; limit == 0 {
			limit = DefaultStagedLifetime
		}
	}
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	return all || now().Sub(u.Touched) >= limit
}
