package pipeline

import (
	"context"
	"sync"
	"testing"

	"ingest/internal/errcode"
)

// purse is a keeper with so many bytes for everybody.
type purse struct {
	mu    sync.Mutex
	bytes int64
	has   map[string]Claim
	asked int
}

func (p *purse) Claim(_ context.Context, c Claim) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	sum := c.Bytes
	for part, have := range p.has {
		if part != c.Part {
			sum += have.Bytes
		}
	}
	if sum > p.bytes {
		return errcode.New(errcode.QuotaExceeded, "no")
	}
	p.has[c.Part] = c
	return nil
}

func newPurse(n int64) *purse { return &purse{bytes: n, has: map[string]Claim{}} }

func TestClaimGrowsInSteps(t *testing.T) {
	keeper := newPurse(100 << 20)
	p := &Pipeline{Space: keeper}
	c := p.claim(Claim{TaskID: "t", Kind: ClaimStage, Part: "x"})
	for end := int64(1 << 20); end <= 64<<20; end += 1 << 20 {
		if err := c.reach(t.Context(), end); err != nil {
			t.Fatal(err)
		}
		if has := keeper.has["x"].Bytes; has < end || has > max(2*end, firstClaim) {
			t.Fatalf("at %d it has %d", end, has)
		}
	}
	if keeper.asked > 6 {
		t.Errorf("asked %d times", keeper.asked)
	}
	// The next step of 64 MiB does not fit; what is needed does, to the last byte.
	if err := c.reach(t.Context(), 100<<20); err != nil {
		t.Error(err)
	}
	if err := c.reach(t.Context(), 100<<20+1); errcode.Of(err) != errcode.QuotaExceeded {
		t.Errorf("beyond the end: %v", err)
	}
	if err := c.settle(t.Context(), 7); err != nil || keeper.has["x"].Bytes != 7 {
		t.Errorf("settled at %+v, %v", keeper.has["x"], err)
	}
	other := c.part("y")
	if err := other.set(t.Context(), 5, 3); err != nil || keeper.has["y"] != (Claim{TaskID: "t", Kind: ClaimStage, Part: "y", Bytes: 5, Room: 3}) {
		t.Errorf("another part has %+v, %v", keeper.has["y"], err)
	}
}

func TestDryRunsAndLocalWorkClaimNothing(t *testing.T) {
	for _, c := range []*claim{(&Pipeline{}).claim(Claim{TaskID: "t"}), (&Pipeline{Space: newPurse(0)}).claim(Claim{})} {
		if err := c.reach(t.Context(), 1<<40); err != nil || c != nil || c.part("x") != nil || c.settle(t.Context(), 3) != nil || c.set(t.Context(), 1, 1) != nil {
			t.Errorf("%v, %v", c, err)
		}
	}
}

// TestClaimOfWhatStandsApart claims room for what is written, and not for what lies
// between.
func TestClaimOfWhatStandsApart(t *testing.T) {
	keeper := newPurse(1 << 50)
	c := (&Pipeline{Space: keeper}).claim(Claim{TaskID: "t", Kind: ClaimStore, Part: "x"})
	written := int64(0)
	for i := range int64(64) {
		if err := c.wrote(t.Context(), 1<<20, (64-i)<<30); err != nil {
			t.Fatal(err)
		}
		written += 1 << 20
		has := keeper.has["x"]
		if has.Bytes < (64-i)<<30 || has.Room < written || has.Room > max(2*written, written+firstClaim) {
			t.Fatalf("with %d bytes written before %d: %+v", written, (64-i)<<30, has)
		}
	}
	if keeper.asked > 8 {
		t.Errorf("asked %d times", keeper.asked)
	}
}
