package sqlcore

import (
	"context"
	"database/sql"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// A Dialect says what is particular to one database.
type Dialect struct {
	// Name is for messages.
	Name string
	// Bun writes the queries.
	Bun schema.Dialect
	// Types replaces the words in braces of the migrations; see the package
	// comment for the list.
	Types map[string]string
	// Retryable reports whether the transaction that ended with err may succeed
	// if it is run again: the database was busy, or chose it as the victim of a
	// deadlock or a serialisation conflict.
	Retryable func(err error) bool
	// Duplicate reports whether err is a violated primary key or unique index.
	Duplicate func(err error) bool
	// TooLarge reports whether err says that the server takes no statement so long; nil
	// if there is no such limit.
	TooLarge func(err error) bool
	// Missing reports whether err says that there is no such table.
	Missing func(err error) bool
	// Lost reports whether err says that the database cannot be reached, or not
	// any more. nil is for databases in this process.
	Lost func(err error) bool

	// Using stands behind a table's name in a query and names the index by which it is
	// read. nil is for databases that know how often values occur, and choose well.
	Using func(index string) string

	// Isolation is that of every transaction; zero means serialisable. Snapshots
	// do where Lock lets one writer at a time at them.
	Isolation sql.IsolationLevel
	// Lock is the first statement of each transaction that writes. It waits until
	// no other one writes, and must not take a snapshot before. "" is for
	// databases that begin such transactions one by one.
	Lock string
	// Hold is a query that answers 1 if this connection now has a lock which one
	// connection can have, for as long as it lasts. "" is for databases of one machine.
	Hold string
	// Exclusive runs fn while nobody else migrates. nil means one transaction.
	Exclusive func(ctx context.Context, db *bun.DB, fn func(Session) error) error
	// Repeated reports whether err says that a statement of a migration has been
	// run before. It is set for databases that commit each such statement at once,
	// so that a migration which was killed in its middle can go on.
	Repeated func(err error) bool
}

// A Session is the transaction or connection in which migrations run.
type Session struct {
	bun.IDB
	// Exec runs a statement as it is: bun would look for arguments in the text.
	Exec func(ctx context.Context, statement string) error
}

// isolation returns the level of transactions.
func (d Dialect) isolation() sql.IsolationLevel {
	if d.Isolation == sql.LevelDefault {
		return sql.LevelSerializable
	}
	return d.Isolation
}

// from names a table as one letter, read by an index.
func (d Dialect) from(table, as, index string) string {
	if d.Using == nil || index == "" {
		return table + " AS " + as
	}
	return table + " AS " + as + " " + d.Using(index)
}

func (d Dialect) lost(err error) bool { return d.Lost != nil && d.Lost(err) }

// InSession gives fn the transaction as a Session.
func InSession(tx bun.Tx, fn func(Session) error) error {
	return fn(Session{IDB: tx, Exec: func(ctx context.Context, statement string) error {
		_, err := tx.Tx.ExecContext(ctx, statement)
		return err
	}})
}

// exclusively runs fn while nobody else migrates.
func (d Dialect) exclusively(ctx context.Context, db *bun.DB, fn func(Session) error) error {
	if d.Exclusive != nil {
		return d.Exclusive(ctx, db, fn)
	}
	return within(ctx, db, &sql.TxOptions{Isolation: sql.LevelSerializable}, func(tx bun.Tx) error { return InSession(tx, fn) })
}

// expand replaces the type words of a migration.
func (d Dialect) expand(text string) string {
	pairs := make([]string, 0, 2*len(d.Types))
	for word, sql := range d.Types {
		pairs = append(pairs, "{"+word+"}", sql)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
