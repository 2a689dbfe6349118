package ratelimit

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

func TestEachHasABucketOfItsOwn(t *testing.T) {
	now := time.Unix(1000, 0)
	l := New(2, 3)
	l.now = func() time.Time { return now }
	for i := range 3 {
		if wait := l.Take("project a"); wait != 0 {
			t.Errorf("request %d of the burst waits %s", i, wait)
		}
	}
	for range 5 { // who is refused does not push the moment away
		if wait := l.Take("project a"); wait != 500*time.Millisecond {
			t.Errorf("behind the burst: %s, want 500ms", wait)
		}
	}
	if wait := l.Take("project b"); wait != 0 {
		t.Errorf("another project waits %s", wait)
	}
	now = now.Add(500 * time.Millisecond)
	if wait := l.Take("project a"); wait != 0 {
		t.Errorf("after the time that was said: %s", wait)
	}
}

func TestNoLimit(t *testing.T) {
	l := New(0, 10)
	for range 1000 {
		if l.Take("x") != 0 {
			t.Fatal("limited")
		}
	}
}

// TestLookingTakesNothing has many look, and be refused, at the same time.
func TestLookingTakesNothing(t *testing.T) {
	now := time.Unix(1000, 0)
	l := New(1, 2)
	l.now = func() time.Time { return now }
	look := func(f func()) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 2000 {
					f()
				}
			})
		}
		wg.Wait()
	}
	l.Take("a")
	look(func() { l.Peek("a") })
	if wait := l.Take("a"); wait != 0 {
		t.Errorf("looking has taken what was left: wait %s", wait)
	}
	look(func() { l.Take("a") })
	if wait := l.Take("a"); wait != time.Second {
		t.Errorf("who was refused has pushed the moment away to %s, want 1s", wait)
	}
}

// TestChargeIsPaidForAfterwards charges what was begun at once.
func TestChargeIsPaidForAfterwards(t *testing.T) {
	now := time.Unix(1000, 0)
	l := New(1, 2)
	l.now = func() time.Time { return now }
	for range 10 {
		l.Charge("a")
	}
	if wait := l.Peek("a"); wait != 9*time.Second {
		t.Errorf("ten of two: wait %s, want 9s", wait)
	}
	now = now.Add(9 * time.Second)
	if wait := l.Peek("a"); wait != 0 {
		t.Errorf("paid for: wait %s", wait)
	}
	(*Limiter)(nil).Charge("a")
}

func TestMemoryIsBounded(t *testing.T) {
	l := New(1, 1)
	for i := range MaxBuckets + 100 {
		l.Take(fmt.Sprint(i))
	}
	if got := l.buckets.Len(); got != MaxBuckets {
		t.Errorf("%d buckets, want %d", got, MaxBuckets)
	}
}

func TestAddresses(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7:5000":                  "address 192.0.2.7",
		"[::ffff:192.0.2.7]:5000":         "address 192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:80":       "address 2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":               "address fe80::/64",
		"@":                               "address",
		"[2001:db8:1:2:ffff:ffff::1]:443": "address 2001:db8:1:2::/64",
	} {
		if got := Address(remote); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}
