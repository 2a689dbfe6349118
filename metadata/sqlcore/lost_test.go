package sqlcore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

var errLost = errors.New("lost")

// TestLost loses the connection at several points: work that cannot have been
// committed is done again, and what may have been is not.
func TestLost(t *testing.T) {
	r := newRepository(t)
	r.dialect.Lost = func(err error) bool { return errors.Is(err, errLost) }
	runs := 0
	if err := r.InTx(t.Context(), func(metadata.Tx) error {
		if runs++; runs < 3 {
			return errcode.Wrap(errLost, errcode.CatalogueBusy, "read")
		}
		return nil
	}); err != nil || runs != 3 {
		t.Errorf("lost within: %d runs, %v", runs, err)
	}
	tries := 0
	err := r.retry(t.Context(), func() error {
		tries++
		return unavailable(t.Context(), errors.Join(errUnsure, fmt.Errorf("%w: %w", errCommit, errLost)), "run transaction")
	})
	if tries != 1 || errcode.Of(err) != errcode.CatalogueBusy {
		t.Errorf("lost in the commit: %d runs, %v", tries, err)
	}
}

func TestBroken(t *testing.T) {
	dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{dial, true}, {fmt.Errorf("connect: %w", dial), true}, {io.ErrUnexpectedEOF, true}, {driver.ErrBadConn, true}, {net.ErrClosed, true},
		{&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}, false},
		{&net.OpError{Op: "dial", Err: &net.DNSError{IsTimeout: true}}, true},
		{errors.New("syntax error"), false}, {context.Canceled, false}, {nil, false},
	} {
		if got := Broken(tt.err); got != tt.want {
			t.Errorf("%v: %v", tt.err, got)
		}
	}
}
