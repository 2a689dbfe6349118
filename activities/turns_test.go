package activities

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// queue lets tasks wait one after the other, and returns the order in which they get
// room.
func queue(t *testing.T, turns *Turns, tasks ...string) (order func() []string) {
	t.Helper()
	var mu sync.Mutex
	var got []string
	var all sync.WaitGroup
	for _, task := range tasks {
		all.Go(func() {
			leave, err := turns.Take(t.Context(), task)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			got = append(got, task)
			mu.Unlock()
			leave()
			leave() // twice is once
		})
		synctest.Wait()
	}
	return func() []string { all.Wait(); return got }
}

func TestTheHighestPriorityGoesFirst(t *testing.T) {
	for _, c := range []struct {
		name string
		rank func(context.Context, []string) (map[string]int, error)
		want []string
	}{
		{"all alike", nil, []string{"a", "b", "c", "d"}},
		{"by priority", func(context.Context, []string) (map[string]int, error) {
			return map[string]int{"a": 0, "c": 9, "d": 9}, nil
		}, []string{"c", "d", "b", "a"}},
		{"nobody knows", func(context.Context, []string) (map[string]int, error) { return nil, errors.New("busy") }, []string{"a", "b", "c", "d"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				turns := NewTurns(1, c.rank)
				leave, err := turns.Take(t.Context(), "first")
				if err != nil {
					t.Fatal(err)
				}
				order := queue(t, turns, "a", "b", "c", "d")
				leave()
				if got := order(); !slices.Equal(got, c.want) {
					t.Errorf("went %q, want %q", got, c.want)
				}
				synctest.Wait()
				if turns.Free() != 1 {
					t.Errorf("room for %d is left, want 1", turns.Free())
				}
			})
		})
	}
}

func TestWhoGivesUpTakesNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(2, nil)
		one, _ := turns.Take(t.Context(), "one")
		two, _ := turns.Take(t.Context(), "two")
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		for range 3 {
			go func() {
				_, err := turns.Take(ctx, "late")
				ended <- err
			}()
		}
		synctest.Wait()
		cancel(errStopping)
		for range 3 {
			if err := <-ended; !errors.Is(err, errStopping) {
				t.Errorf("gave up with %v", err)
			}
		}
		one()
		two()
		synctest.Wait()
		if turns.Free() != 2 {
			t.Errorf("room for %d is left, want 2", turns.Free())
		}
	})
}

// TestRoomIsNeverLost lets many come, go and give up at the same moments.
func TestRoomIsNeverLost(t *testing.T) {
	turns := NewTurns(3, func(_ context.Context, tasks []string) (map[string]int, error) {
		return map[string]int{tasks[0]: 9}, nil
	})
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			for range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%2 == 0 {
					go cancel()
				}
				if leave, err := turns.Take(ctx, "t"); err == nil {
					leave()
				}
				cancel()
			}
		})
	}
	all.Wait()
	for range 3 {
		if _, err := turns.Take(t.Context(), "t"); err != nil {
			t.Fatal(err)
		}
	}
	if turns.Free() != 0 {
		t.Errorf("room for %d is left, want 0", turns.Free())
	}
}

// Who comes while it is asked who goes first, after those that waited have given up,
// takes the room that they have left; nobody is given the same room once more.
func TestRoomIsGivenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		turns := NewTurns(1, func(context.Context, []string) (map[string]int, error) { <-answer; return nil, nil })
		first, err := turns.Take(t.Context(), "first")
		if err != nil {
			t.Fatal(err)
		}
		impatient, cancel := context.WithCancel(t.Context())
		for range 2 {
			go turns.Take(impatient, "impatient")
		}
		synctest.Wait()
		first()
		synctest.Wait() // it is asked which of the two goes first
		cancel()
		synctest.Wait()
		second, err := turns.Take(t.Context(), "second")
		if err != nil {
			t.Fatal(err)
		}
		third := make(chan func())
		go func() {
			leave, _ := turns.Take(t.Context(), "third")
			third <- leave
		}()
		synctest.Wait()
		close(answer)
		synctest.Wait()
		select {
		case <-third:
			t.Fatal("two steps run where there is room for one")
		default:
		}
		second()
		(<-third)()
		synctest.Wait()
		if turns.Free() != 1 {
			t.Errorf("room for %d is left, want 1", turns.Free())
		}
	})
}
