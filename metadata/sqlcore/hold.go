package sqlcore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"ingest/internal/errcode"
)

const (
	// holdFor is how long Hold tries: a process that was killed a moment ago may
	// still hold what the server has not noticed.
	holdFor = 5 * time.Second
	// holdCheck is how often the connection that holds is looked after: soon enough to
	// be the first one when a database has come back.
	holdCheck = time.Second
)

// errHeld says that another process holds the name.
var errHeld = errors.New("another process holds it")

// Hold makes this process the only one that holds the database, until it ends or
// calls release. errcode.Conflict says that another one does. A connection that is
// lost is made again; lost is called if somebody else was faster then. In databases
// of this machine Hold does nothing.
func (r *Repository) Hold(ctx context.Context, lost func(error)) (release func(), err error) {
	if r.dialect.Hold == "" {
		return func() {}, nil
	}
	conn, err := r.hold(ctx)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.keep(ctx, conn, lost)
	}()
	return func() {
		stop()
		<-done
	}, nil
}

// hold takes a connection on which the lock is held.
func (r *Repository) hold(ctx context.Context) (*sql.Conn, error) {
	for end := time.Now().Add(holdFor); ; {
		var conn *sql.Conn
		err := r.retry(ctx, func() (err error) {
			conn, err = r.tryHold(ctx)
			return err
		})
		if err == nil {
			return conn, nil
		}
		if !errors.Is(err, errHeld) {
			return nil, unavailable(ctx, err, "hold the database")
		}
		if time.Now().After(end) {
			return nil, errcode.Wrap(err, errcode.Conflict, "another server that embeds its workflow service uses this database")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(retryPause):
		}
	}
}

func (r *Repository) tryHold(ctx context.Context) (*sql.Conn, error) {
	conn, err := r.reader.DB.Conn(ctx)
	if err != nil {
		return nil, err
	}
	var got sql.NullInt64
	err = conn.QueryRowContext(ctx, r.dialect.Hold).Scan(&got)
	if err == nil && got.Int64 == 1 {
		return conn, nil
	}
	if err == nil {
		err = errHeld
	}
	return nil, errors.Join(err, conn.Close())
}

// keep looks after the connection until the context ends. The lock goes with it: it
// does not go back to the pool.
func (r *Repository) keep(ctx context.Context, conn *sql.Conn, lost func(error)) {
	tick := time.NewTicker(holdCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			discard(conn)
			return
		case <-tick.C:
		}
		if conn != nil && conn.PingContext(ctx) == nil {
			continue
		}
		discard(conn)
		var err error
		if conn, err = r.hold(ctx); errcode.Of(err) == errcode.Conflict {
			lost(err)
			return
		}
	}
}

// discard ends a connection for good.
func discard(conn *sql.Conn) {
	if conn == nil {
		return
	}
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = conn.Close()
}
