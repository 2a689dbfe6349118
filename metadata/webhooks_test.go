package metadata_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

type ctx = context.Context

var patience = metadata.Patience{First: time.Minute, Longest: 4 * time.Minute, GiveUp: 10 * time.Minute, Disable: time.Hour}

// hook adds a webhook of project p.
func (f *fixture) hook(events ...string) metadata.Webhook {
	f.t.Helper()
	w, err := f.AddWebhook(f.t.Context(), metadata.Webhook{Owner: "p", URL: "https://example.org/h", Secret: "s", Events: events})
	f.ok(err)
	return w
}

func (f *fixture) claim() []metadata.Claim {
	f.t.Helper()
	got, err := f.ClaimDeliveries(f.t.Context(), 8, time.Minute)
	f.ok(err)
	return got
}

func TestTheEndOfATaskIsInTheOutbox(t *testing.T) {
	f := newFixture(t)
	good, bad := f.hook(metadata.TaskSucceeded), f.hook(metadata.TaskFailed)
	all := f.hook(metadata.WebhookEvents()...)
	_, err := f.AddWebhook(t.Context(), metadata.Webhook{Owner: "other", URL: "u", Events: metadata.WebhookEvents()})
	f.ok(err)
	f.started("1")
	f.started("2")
	for _, b := range []bool{true, false} {
		_, err := f.Steer(t.Context(), "task-1", metadata.Steering{Paused: &b})
		f.ok(err)
	}
	for range 2 { // the second time it has ended already
		f.ok(f.Activate(t.Context(), activation("1")))
		f.ok(f.Fail(t.Context(), "task-2", metadata.TaskError{Code: errcode.Truncated, Message: "cut"}))
	}
	for _, c := range []struct {
		hook metadata.Webhook
		want []string
	}{
		{good, []string{"task.success task-1"}}, {bad, []string{"task.failure task-2"}},
		{all, []string{"task.failure task-2", "task.success task-1", "task.resumed task-1", "task.paused task-1"}},
	} {
		ds, err := f.Deliveries(t.Context(), c.hook.ID, 0)
		f.ok(err)
		var got []string
		for _, d := range ds {
			var n metadata.Notice
			f.ok(json.Unmarshal(d.Body, &n))
			if n.ID != d.ID || n.Event != d.Event || n.Task.Owner != "p" || strings.Contains(string(d.Body), `"url"`) {
				t.Errorf("notice %s", d.Body)
			}
			got = append(got, n.Event+" "+n.Task.ID)
		}
		f.same(got, c.want)
	}
}

func TestATaskThatCannotBeToldDoesNotEnd(t *testing.T) {
	f := newFixture(t)
	f.hook(metadata.TaskFailed)
	f.started("1")
	failed := f.repo.InTx(t.Context(), func(tx metadata.Tx) error {
		inner := metadata.New(one{tx})
		if err := inner.Fail(t.Context(), "task-1", metadata.TaskError{Code: errcode.Truncated, Message: "cut"}); err != nil {
			return err
		}
		return context.Canceled // the process dies before the commit
	})
	if failed == nil || f.task("task-1").Status.Finished() || len(f.claim()) != 0 {
		t.Error("half of it was recorded")
	}
}

// one is a repository that is one transaction.
type one struct{ metadata.Tx }

func (o one) InTx(_ context.Context, fn func(metadata.Tx) error) error { return fn(o.Tx) }
func (o one) Close() error                                             { return nil }

func TestDeliveriesAreTriedAndGivenUp(t *testing.T) {
	f := newFixture(t)
	w := f.hook(metadata.TaskFailed)
	_, err := f.TestWebhook(t.Context(), w.ID)
	f.ok(err)
	var waits []time.Duration
	for range 20 {
		got := f.claim()
		if len(got) == 0 {
			f.clock = f.clock.Add(5 * time.Minute)
			continue
		}
		if n := len(f.claim()); n != 0 {
			t.Fatalf("claimed %d of another's", n)
		}
		f.ok(f.Settle(t.Context(), got[0].Delivery.ID, metadata.Outcome{HTTPStatus: 500, Error: "no"}, patience))
		ds, err := f.Deliveries(t.Context(), w.ID, 0)
		f.ok(err)
		if ds[0].Status == metadata.DeliveryFailed {
			break
		}
		waits = append(waits, ds[0].NextAt.Sub(ds[0].UpdatedAt))
	}
	f.same(waits, []time.Duration{time.Minute, 2 * time.Minute})
	now, err := f.Webhook(t.Context(), w.ID)
	f.ok(err)
	if now.FailingSince == nil || now.DisabledAt != nil {
		t.Errorf("webhook %+v", now)
	}
}

func TestASenderThatDiesLosesNothing(t *testing.T) {
	f := newFixture(t)
	_, err := f.TestWebhook(t.Context(), f.hook().ID)
	f.ok(err)
	first := f.claim()
	f.clock = f.clock.Add(2 * time.Minute)
	second := f.claim()
	if len(first) != 1 || len(second) != 1 || first[0].Delivery.ID != second[0].Delivery.ID || second[0].Delivery.Attempts != 2 {
		t.Errorf("claimed %+v, then %+v", first, second)
	}
}

func TestAWebhookThatTakesNothingIsDisabled(t *testing.T) {
	f := newFixture(t)
	w := f.hook(metadata.TaskFailed)
	fail := func() {
		t.Helper()
		_, err := f.TestWebhook(t.Context(), w.ID)
		f.ok(err)
		f.ok(f.Settle(t.Context(), f.claim()[0].Delivery.ID, metadata.Outcome{Error: "dial: " + strings.Repeat("x", 2000)}, patience))
	}
	fail()
	f.clock = f.clock.Add(2 * time.Hour)
	got := f.claim()
	f.ok(f.Settle(t.Context(), got[0].Delivery.ID, metadata.Outcome{HTTPStatus: 200}, patience))
	if now, err := f.Webhook(t.Context(), w.ID); err != nil || now.FailingSince != nil {
		t.Fatalf("success forgets no failure: %+v, %v", now, err)
	}
	fail()
	// Quiet hours prove nothing: it was sent nothing that it could have taken.
	f.clock = f.clock.Add(20 * time.Hour)
	fail()
	if now, err := f.Webhook(t.Context(), w.ID); err != nil || now.DisabledAt != nil || now.FailingSince == nil {
		t.Fatalf("disabled by two failures: %+v, %v", now, err)
	}
	rounds := 0
	for ; rounds < 10; rounds++ {
		if now, err := f.Webhook(t.Context(), w.ID); err != nil || now.DisabledAt != nil {
			break
		}
		f.clock = f.clock.Add(patience.GiveUp)
		fail()
	}
	if rounds < 5 { // an hour's worth, with the two before
		t.Errorf("disabled after %d further failures", rounds)
	}
	now, err := f.Webhook(t.Context(), w.ID)
	f.ok(err)
	if now.DisabledAt == nil || !strings.Contains(now.DisabledReason, "dial: x") {
		t.Errorf("not disabled: %+v", now)
	}
	f.clock = f.clock.Add(24 * time.Hour)
	if n := len(f.claim()); n != 0 {
		t.Errorf("%d deliveries to a disabled webhook", n)
	}
	f.started("1")
	f.ok(f.Fail(t.Context(), "task-1", metadata.TaskError{Code: errcode.Truncated, Message: "cut"}))
	if n := len(f.claim()); n != 0 {
		t.Errorf("%d new deliveries to a disabled webhook", n)
	}
	_, err = f.TestWebhook(t.Context(), w.ID)
	f.refused(err, errcode.Conflict)
	now, err = f.EnableWebhook(t.Context(), w.ID)
	f.ok(err)
	if now.DisabledAt != nil || now.DisabledReason != "" {
		t.Errorf("enabled: %+v", now)
	}
}

func TestWebhooksAreLimited(t *testing.T) {
	f := newFixture(t)
	for range metadata.MaxWebhooks {
		f.hook(metadata.TaskFailed)
	}
	_, err := f.AddWebhook(t.Context(), metadata.Webhook{Owner: "p", URL: "u"})
	f.refused(err, errcode.QuotaExceeded)
	_, err = f.AddWebhook(t.Context(), metadata.Webhook{Owner: "q", URL: "u"})
	f.ok(err)
}
