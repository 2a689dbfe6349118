package mem

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/stores"
	"ingest/stores/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		New: func(testing.TB) stores.Store { return New("test") },
		Leftovers: func(_ testing.TB, s stores.Store) []string {
			m := s.(*Store)
			if len(m.uploads)+len(m.objects) > 0 || m.used != 0 {
				return []string{fmt.Sprintf("%d uploads, %d objects, %d bytes", len(m.uploads), len(m.objects), m.used)}
			}
			return nil
		},
	})
}

func TestCapacity(t *testing.T) {
	s := New("small")
	s.SetCapacity(2 * pageSize)
	key := stores.NewKey(uuid.NewString(), uuid.NewString())
	u, err := s.Begin(t.Context(), key, -1)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := u.WriteAt(make([]byte, 3*pageSize), 0); n != 2*pageSize || errcode.Of(err) != errcode.NoSpace {
		t.Errorf("WriteAt of three pages into two = %d, %v", n, err)
	}
	if _, err := s.Begin(t.Context(), key, -1); errcode.Of(err) != errcode.NoSpace {
		t.Errorf("Begin in a full store: %v", err)
	}
	if err := u.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if free, _ := s.Free(t.Context()); free != 2*pageSize {
		t.Errorf("Free after Abort = %d", free)
	}
}
