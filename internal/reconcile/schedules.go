package reconcile

import (
	"context"
	"encoding/json"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// ScheduleService is the part of the workflow service that keeps schedules.
type ScheduleService interface {
	Put(ctx context.Context, w contract.Scheduled) error
	Has(ctx context.Context, id string) (bool, error)
	Delete(ctx context.Context, id string) error
}

// lookForLost is how often all schedules are looked for.
const lookForLost = time.Minute

// Schedules keeps the workflow service in step with the catalogue's schedules: it is told
// of changes that it has not heard of, and of schedules that it has lost.
type Schedules struct {
	Catalogue *metadata.Catalogue
	Service   ScheduleService
	Log       zerolog.Logger
	Now       func() time.Time // nil means time.Now

	looked time.Time // when all were looked for
}

// Run tells at once and then every interval, until the context ends.
func (s *Schedules) Run(ctx context.Context, interval time.Duration) {
	Every(ctx, interval, s.Log, "keep the schedules in step", s.Once)
}

// Once tells what has not been told. One schedule's trouble does not keep it from the
// others; the last error is returned.
func (s *Schedules) Once(ctx context.Context) error {
	all, err := s.Catalogue.EverySchedule(ctx)
	if err != nil {
		return err
	}
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	look := now().Sub(s.looked) >= lookForLost
	var last error
	for _, one := range all {
		err := s.one(ctx, one, look)
		if err != nil {
			last = err
		}
	}
	if look && last == nil {
		s.looked = now()
	}
	return last
}

func (s *Schedules) one(ctx context.Context, one metadata.Schedule, look bool) error {
	if one.Deleted || one.Told < one.Revision {
		return Tell(ctx, s.Catalogue, s.Service, one.ID)
	}
	if !look {
		return nil
	}
	has, err := s.Service.Has(ctx, one.ID)
	if err != nil || has {
		return err
	}
	s.Log.Warn().Str("schedule", one.ID).Msg("the workflow service has lost a schedule: it is made again")
	return Tell(ctx, s.Catalogue, s.Service, one.ID)
}

// Tell makes the workflow service know a schedule as the catalogue has it at this moment,
// or forget one that is deleted. It can be repeated, and killed at any point.
func Tell(ctx context.Context, c *metadata.Catalogue, service ScheduleService, id string) error {
	one, err := c.AnySchedule(ctx, id)
	if errcode.Of(err) == errcode.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if one.Deleted {
		if err := service.Delete(ctx, id); err != nil {
			return err
		}
		return c.ForgetSchedule(ctx, id)
	}
	w, err := scheduled(one)
	if err == nil {
		err = service.Put(ctx, w)
	}
	if err != nil {
		return err
	}
	return c.ScheduleTold(ctx, id, one.Revision)
}

// scheduled is what the service is told.
func scheduled(s metadata.Schedule) (contract.Scheduled, error) {
	var spec contract.ScheduleSpec
	if err := json.Unmarshal(s.Spec, &spec); err != nil {
		return contract.Scheduled{}, errcode.Wrap(err, errcode.Internal, "read schedule %s", s.ID)
	}
	return contract.Scheduled{ID: s.ID, Owner: s.Owner, Name: s.Name, Timing: spec.Filled().Timing, Paused: s.Paused, Revision: s.Revision}, nil
}
