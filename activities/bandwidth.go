package activities

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"ingest/internal/bandwidth"
	"ingest/metadata"
)

const (
	// renewEvery is the time between two looks at budgets: how soon a change of them is
	// heeded, and twice that, how soon one worker gets what another does not use.
	renewEvery = time.Second
	// renewTime bounds one look. A share ends by itself if none succeeds.
	renewTime = 3 * time.Second
	// shareLinger is how long a share is kept that no transfer uses: the next item of
	// its bulk may need it.
	shareLinger = 5 * time.Second
)

// A Bandwidth keeps the transfers of this process within their budgets: its own, those of
// single imports, and its shares of those of bulks. Who has which share of these is
// settled in the catalogue, by transactions of the workers themselves, so that there is
// nobody to ask who could be away.
type Bandwidth struct {
	catalogue *metadata.Catalogue
	worker    string // no other process has it
	process   *bandwidth.Bucket
	log       zerolog.Logger
	every     time.Duration
	ctx       context.Context
	stop      context.CancelFunc

	renewing sync.Mutex // held by who asks the catalogue

	mu      sync.Mutex
	shares  map[metadata.BudgetKey]*share
	imports map[string]*ownBudget // by task
	keeping bool                  // keep runs
	failed  bool                  // the last look has
}

// NewBandwidth returns the budgets of a process; limit is what it may read from sources
// in all. The caller calls Stop.
func NewBandwidth(c *metadata.Catalogue, limit bandwidth.Rate, log zerolog.Logger) *Bandwidth {
	b := &Bandwidth{catalogue: c, worker: uuid.NewString(), log: log, every: renewEvery,
		shares: map[metadata.BudgetKey]*share{}, imports: map[string]*ownBudget{}}
	if limit > 0 {
		b.process = bandwidth.NewBucket(limit)
	}
	b.ctx, b.stop = context.WithCancel(context.Background())
	return b
}

// Stop ends the renewal of shares: they end by themselves.
func (b *Bandwidth) Stop() { b.stop() }

// A share is this process's part of a budget. What is in it is guarded by the mutex of
// Bandwidth, and the bucket by itself.
type share struct {
	bucket  *bandwidth.Bucket
	users   int
	idle    time.Time // since when there are none
	known   bool      // the catalogue was asked
	grant   metadata.BandwidthGrant
	want    int64
	sampled time.Time
}

// An ownBudget is that of a single import.
type ownBudget struct {
	bucket *bandwidth.Bucket
	users  int
}

// join returns the share of a budget. The caller calls leave. If the catalogue does not
// answer, nothing may be used of it before it does.
func (b *Bandwidth) join(ctx context.Context, key metadata.BudgetKey) *bandwidth.Bucket {
	b.mu.Lock()
	s := b.shares[key]
	if s == nil {
		s = &share{bucket: bandwidth.NewShare(), sampled: time.Now()}
		b.shares[key] = s
	}
	s.users++
	known := s.known || b.failed // keep asks again
	if !b.keeping {
		b.keeping = true
		go b.keep()
	}
	b.mu.Unlock()
	if !known {
		b.renew(ctx, s)
	}
	return s.bucket
}

func (b *Bandwidth) leave(key metadata.BudgetKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.shares[key]
	if s.users--; s.users == 0 {
		s.idle = time.Now()
	}
}

// joinImport returns the budget of a single import.
func (b *Bandwidth) joinImport(taskID string, r bandwidth.Rate) *bandwidth.Bucket {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.imports[taskID]
	if o == nil {
		o = &ownBudget{bucket: bandwidth.NewBucket(r)}
		b.imports[taskID] = o
	}
	o.users++
	return o.bucket
}

func (b *Bandwidth) leaveImport(taskID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o := b.imports[taskID]; o != nil {
		if o.users--; o.users == 0 {
			delete(b.imports, taskID)
		}
	}
}

// keep renews the shares for as long as there are any.
func (b *Bandwidth) keep() {
	ticker := time.NewTicker(b.every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-b.ctx.Done():
			return
		}
		if !b.tidy(time.Now()) {
			return
		}
		b.renew(b.ctx, nil)
	}
}

// tidy drops the shares that nobody has used for a while. False says that none is left,
// and that nobody keeps them any more.
func (b *Bandwidth) tidy(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, s := range b.shares {
		if s.users == 0 && now.Sub(s.idle) >= shareLinger {
			delete(b.shares, key)
		}
	}
	b.keeping = len(b.shares) > 0
	return b.keeping
}

// renew asks the catalogue for all shares; if one is named, only unless it is known, and
// not of a catalogue that did not answer the one before: the last of many would ask for
// long, and keep asks again.
func (b *Bandwidth) renew(ctx context.Context, unknown *share) {
	b.renewing.Lock()
	defer b.renewing.Unlock()
	begun := time.Now()
	claims, shares := b.claims(begun, unknown)
	if len(claims) == 0 {
		return
	}
	look, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	grants, err := b.catalogue.ShareBandwidth(look, b.worker, claims)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err != nil && ctx.Err() != nil: // whoever asked does not any more
		return
	case err != nil && !b.failed:
		b.log.Warn().Str("error", trace(err)).Msg("shares of bandwidth cannot be renewed: what has a budget waits")
		fallthrough
	case err != nil:
		b.failed = true
		return
	}
	b.failed = false
	for i, s := range shares {
		s.set(grants[i], begun.Add(metadata.BandwidthLease))
	}
}

// claims is what could be used of each budget.
func (b *Bandwidth) claims(now time.Time, unknown *share) (claims []metadata.BandwidthClaim, shares []*share) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if unknown != nil && (unknown.known || b.failed) {
		return nil, nil
	}
	for key, s := range b.shares {
		s.measure(now, b.every)
		claims = append(claims, metadata.BandwidthClaim{Key: key, Want: s.want})
		shares = append(shares, s)
	}
	return claims, shares
}

// measure decides how much is wanted: all there is if somebody had to wait, else a little
// more than was used. What was used falls at once when a request ends and the next one
// has not begun, so that the want falls by halves.
func (s *share) measure(now time.Time, every time.Duration) {
	took := now.Sub(s.sampled)
	switch {
	case s.users == 0:
		s.want = 0
	case !s.known:
		s.want = metadata.AllBandwidth
	case took < every/2: // too short to tell
		return
	default:
		use := s.bucket.Use()
		before := s.want
		if before == metadata.AllBandwidth {
			before = s.grant.Bytes
		}
		used := float64(use.Bytes) / took.Seconds()
		s.want = max(int64(used*9/8), before/2)
		if use.Waited > took/10 {
			s.want = metadata.AllBandwidth
		}
	}
	s.sampled = now
}

// set takes over what the catalogue has granted.
func (s *share) set(g metadata.BandwidthGrant, until time.Time) {
	switch {
	case g.Limited:
		s.bucket.Grant(g.Bytes, until)
	case s.grant.Limited || !s.known:
		s.bucket.Free()
	}
	s.grant, s.known = g, true
}
