package sqlcore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"time"
)

// Bounds of connections to a database server.
const (
	// Writers is how many connections of a process write: one does, and the next
	// one waits for its turn in the database already.
	Writers = 2
	// Readers is how many read beside them.
	Readers = 5 // one of them may hold the database
	// LockWait is how long a statement waits for another one's lock.
	LockWait = 10 * time.Second
	// IdleInTransaction is after how long a server ends a transaction of which
	// nothing is heard: a worker whose machine is gone holds up the others no longer.
	IdleInTransaction = 30 * time.Second
	// connIdle closes connections before servers and firewalls do.
	connIdle = IdleInTransaction / 2
)

// Dialer returns how servers are dialled: one that does not answer any more is
// given up after half a minute, not when the system thinks so.
func Dialer() *net.Dialer {
	return &net.Dialer{
		Timeout:         10 * time.Second,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 4},
	}
}

// Pools opens connections for writing and for reading.
func Pools(c driver.Connector) (writer, reader *sql.DB) {
	open := func(n int) *sql.DB {
		db := sql.OpenDB(c)
		db.SetMaxOpenConns(n)
		db.SetMaxIdleConns(n)
		db.SetConnMaxIdleTime(connIdle)
		return db
	}
	return open(Writers), open(Readers)
}

// Await waits until the database answers, for as long as a transaction is tried.
func Await(ctx context.Context, d Dialect, db *sql.DB) error {
	r := &Repository{dialect: d}
	return r.retry(ctx, func() error { return db.PingContext(ctx) })
}

// Broken reports whether err says that a connection cannot be made or is gone. A
// name that does not exist is a mistake, which waiting does not mend.
func Broken(err error) bool {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return false
	}
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
