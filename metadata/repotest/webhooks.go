package repotest

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// fullWebhook has every field set.
func fullWebhook(id string) metadata.Webhook {
	return metadata.Webhook{
		ID: id, Owner: "project", URL: "https://example.org/hook?a=1", Events: metadata.WebhookEvents(), Secret: "whsec_x", Description: "what for",
		FailingSince: ptr(noon), DisabledAt: ptr(noon.Add(time.Second)), DisabledReason: "no answer",
		CreatedAt: noon, UpdatedAt: noon.Add(time.Minute),
	}
}

// fullDelivery has every field set, and a body that no JSON library would write.
func fullDelivery(id, webhook string) metadata.Delivery {
	return metadata.Delivery{
		ID: id, WebhookID: webhook, TaskID: "task-1", Event: metadata.TaskFailed, Body: json.RawMessage(`{"b": 1,  "a":"<&>é"}`),
		Status: metadata.DeliveryPending, Attempts: 3, HTTPStatus: 503, Error: "busy",
		CreatedAt: noon, NextAt: noon.Add(time.Hour), UpdatedAt: noon.Add(time.Second),
	}
}

func webhookRoundTrip(t *testing.T, repo metadata.Repository) {
	plain := metadata.Webhook{ID: "b", Owner: "project", URL: "u", CreatedAt: noon.Add(time.Second), UpdatedAt: noon}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		other := fullWebhook("c")
		other.Owner = "another"
		return errors.Join(tx.PutWebhook(ctx, plain), tx.PutWebhook(ctx, fullWebhook("a")), tx.PutWebhook(ctx, other),
			tx.PutDelivery(ctx, fullDelivery("d1", "a")), tx.PutDelivery(ctx, fullDelivery("d2", "b")))
	})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		all, err1 := tx.Webhooks(ctx, "project")
		same(t, all, []metadata.Webhook{fullWebhook("a"), plain})
		one, err2 := tx.Webhook(ctx, "a")
		same(t, one, fullWebhook("a"))
		d, err3 := tx.Delivery(ctx, "d1")
		same(t, d, fullDelivery("d1", "a"))
		_, none := tx.Webhook(ctx, "z")
		coded(t, none, errcode.NotFound)
		_, none = tx.Delivery(ctx, "z")
		coded(t, none, errcode.NotFound)
		return errors.Join(err1, err2, err3)
	})
	// What waits for a webhook goes with it.
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.DeleteWebhook(ctx, "a"), tx.DeleteWebhook(ctx, "nobody"))
	})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		left, err := tx.Deliveries(ctx, metadata.DeliveryFilter{})
		if len(left) != 1 || left[0].ID != "d2" {
			t.Errorf("left are %+v", left)
		}
		return err
	})
}

func outbox(t *testing.T, repo metadata.Repository) {
	at := func(id string, status string, next, updated time.Duration) metadata.Delivery {
		d := fullDelivery(id, "a")
		d.Status, d.NextAt, d.UpdatedAt, d.CreatedAt = status, noon.Add(next), noon.Add(updated), noon.Add(updated)
		return d
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.PutWebhook(ctx, fullWebhook("a")),
			tx.PutDelivery(ctx, at("late", metadata.DeliveryPending, 2*time.Hour, 1)),
			tx.PutDelivery(ctx, at("second", metadata.DeliveryPending, time.Minute, 2*time.Second)),
			tx.PutDelivery(ctx, at("first", metadata.DeliveryPending, 0, 3*time.Second)),
			tx.PutDelivery(ctx, at("done", metadata.DeliveryDelivered, 0, 4*time.Second)),
			tx.PutDelivery(ctx, at("lost", metadata.DeliveryFailed, 0, 5*time.Second)))
	})
	names := func(f metadata.DeliveryFilter) (out []string) {
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
			out = nil
			all, err := tx.Deliveries(ctx, f)
			for _, d := range all {
				out = append(out, d.ID)
			}
			return err
		})
		return out
	}
	same(t, names(metadata.DeliveryFilter{Due: ptr(noon.Add(time.Minute))}), []string{"first", "second"})
	same(t, names(metadata.DeliveryFilter{Due: ptr(noon.Add(time.Minute)), Limit: 1}), []string{"first"})
	same(t, names(metadata.DeliveryFilter{WebhookID: "a", Limit: 3}), []string{"lost", "done", "first"})
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		early, other := fullDelivery("early", "b"), fullWebhook("b")
		early.NextAt = noon.Add(-time.Second)
		return errors.Join(tx.PutWebhook(ctx, other), tx.PutDelivery(ctx, early))
	})
	for limit, want := range map[int][]string{1: {"b"}, 9: {"b", "a"}} {
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
			got, err := tx.DueWebhooks(ctx, noon, limit)
			same(t, got, want)
			return err
		})
	}
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return tx.DropDeliveries(ctx, noon.Add(5*time.Second))
	})
	same(t, names(metadata.DeliveryFilter{WebhookID: "a"}), []string{"lost", "first", "second", "late"})
}

// manyClaim lets several senders claim at once: each delivery goes to one of them.
func manyClaim(t *testing.T, repo metadata.Repository) {
	const hooks = 12
	cat := metadata.New(repo)
	for range hooks {
		w, err := cat.AddWebhook(t.Context(), metadata.Webhook{Owner: "p", URL: "u", Events: metadata.WebhookEvents(), Secret: "s"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cat.TestWebhook(t.Context(), w.ID); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	got := map[string]int{}
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for {
				claims, err := cat.ClaimDeliveries(t.Context(), 2, time.Hour)
				if err != nil {
					t.Error(err)
					return
				}
				if len(claims) == 0 {
					return
				}
				mu.Lock()
				for _, c := range claims {
					got[c.Delivery.ID]++
				}
				mu.Unlock()
			}
		})
	}
	senders.Wait()
	if len(got) != hooks {
		t.Errorf("%d deliveries were claimed, want %d", len(got), hooks)
	}
	for id, n := range got {
		if n != 1 {
			t.Errorf("delivery %s was claimed %d times", id, n)
		}
	}
}
