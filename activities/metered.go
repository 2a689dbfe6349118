package activities

import (
	"context"
	"encoding/json"
	"sync"

	"ingest/internal/bandwidth"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// metered returns the context of the step with the budgets that its bytes are of, and how
// to leave them.
func (b *beat) metered() (context.Context, func(), error) {
	all := b.d.Bandwidth
	if all == nil {
		return b.ctx, func() {}, nil
	}
	u, err := all.users(b.ctx, b.w.taskID)
	if err != nil {
		return nil, nil, err
	}
	m := &bandwidth.Meter{Reads: u.reads(b.ctx)}
	if u.bulk != "" {
		m.Writes = u.writes
	}
	b.mu.Lock()
	b.flow = m
	b.mu.Unlock()
	return bandwidth.With(b.ctx, m), u.leave, nil
}

// A user is a step that moves bytes.
type user struct {
	all    *Bandwidth
	taskID string
	own    bandwidth.Rate // of the import
	owner  string
	bulk   string // id, "" for none
	host   string

	mu     sync.Mutex
	joined []metadata.BudgetKey
	stores map[string]bandwidth.Flow
}

// users finds out whose budgets a task's bytes are of.
func (b *Bandwidth) users(ctx context.Context, taskID string) (*user, error) {
	u := &user{all: b, taskID: taskID, stores: map[string]bandwidth.Flow{}}
	if taskID == "" {
		return u, nil
	}
	t, err := b.catalogue.Task(ctx, taskID)
	if errcode.Of(err) == errcode.NotFound {
		return u, nil
	}
	if err != nil {
		return nil, err
	}
	var req contract.ImportRequest
	if json.Unmarshal(t.Request, &req) == nil {
		u.own = req.Bandwidth
	}
	it, err := b.catalogue.BulkItemOfTask(ctx, taskID)
	if it != nil {
		u.owner, u.bulk, u.host = t.Owner, it.BulkID, it.Host
	}
	return u, err
}

// reads are the budgets of what is read from sources, the narrowest first.
func (u *user) reads(ctx context.Context) bandwidth.Flow {
	var out bandwidth.Flow
	if u.own > 0 {
		out = append(out, u.all.joinImport(u.taskID, u.own))
	}
	if u.bulk != "" {
		out = append(out, u.join(ctx, metadata.BudgetHost, u.bulk, u.host), u.join(ctx, metadata.BudgetBulk, u.bulk, ""),
			u.join(ctx, metadata.BudgetProject, u.owner, ""))
	}
	if u.all.process != nil {
		out = append(out, u.all.process)
	}
	return out
}

// writes are the budgets of what is written into a store.
func (u *user) writes(ctx context.Context, store string) (bandwidth.Flow, error) {
	u.mu.Lock()
	flow, known := u.stores[store]
	u.mu.Unlock()
	if known {
		return flow, nil
	}
	one := u.join(ctx, metadata.BudgetStore, u.bulk, store)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stores[store] = bandwidth.Flow{one}
	return u.stores[store], nil
}

func (u *user) join(ctx context.Context, kind, scope, name string) *bandwidth.Bucket {
	key := metadata.BudgetKey{Kind: kind, Scope: scope, Name: name}
	u.mu.Lock()
	u.joined = append(u.joined, key)
	u.mu.Unlock()
	return u.all.join(ctx, key)
}

func (u *user) leave() {
	if u.own > 0 {
		u.all.leaveImport(u.taskID)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, key := range u.joined {
		u.all.leave(key)
	}
	u.joined = nil
}
