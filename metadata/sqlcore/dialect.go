package sqlcore

import (
	"strings"

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
}

// expand replaces the type words of a migration.
func (d Dialect) expand(text string) string {
	pairs := make([]string, 0, 2*len(d.Types))
	for word, sql := range d.Types {
		pairs = append(pairs, "{"+word+"}", sql)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
