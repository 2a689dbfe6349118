package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/mysqldialect"

	"ingest/metadata"
	"ingest/metadata/sqlcore"
)

// Open opens the catalogue in the database of a URL
// (mysql://USER@HOST:PORT/DATABASE?tls=true). A password that is not "" stands above
// that of the URL. The schema is brought up to date; one that a later ingest has
// written is refused.
func Open(ctx context.Context, url, password string) (metadata.Repository, error) {
	d, writer, reader, err := connect(ctx, url, password)
	if err != nil {
		return nil, fmt.Errorf("open MySQL catalogue: %w", err)
	}
	repo, err := sqlcore.New(ctx, d, writer, reader)
	if err != nil {
		return nil, errors.Join(err, writer.Close(), reader.Close())
	}
	return repo, nil
}

// Status tells of the schema, and changes nothing.
func Status(ctx context.Context, url, password string) (sqlcore.Status, error) {
	d, writer, reader, err := connect(ctx, url, password)
	if err != nil {
		return sqlcore.Status{}, err
	}
	s, err := sqlcore.Look(ctx, d, reader)
	return s, errors.Join(err, writer.Close(), reader.Close())
}

func connect(ctx context.Context, url, password string) (d sqlcore.Dialect, writer, reader *sql.DB, err error) {
	c, err := config(url, password)
	if err != nil {
		return d, nil, nil, err
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return d, nil, nil, err
	}
	writer, reader = sqlcore.Pools(connector)
	d = dialect()
	var version string
	if err = sqlcore.Await(ctx, d, writer); err == nil {
		err = writer.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version)
	}
	if err != nil {
		return d, nil, nil, errors.Join(err, writer.Close(), reader.Close())
	}
	collation := "utf8mb4_0900_bin"
	if strings.Contains(version, "MariaDB") {
		collation = "utf8mb4_nopad_bin"
	}
	d.Types["options"] = " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE " + collation
	return d, writer, reader, nil
}

func dialect() sqlcore.Dialect {
	text := func(n int) string { return fmt.Sprintf("VARCHAR(%d)", n) }
	return sqlcore.Dialect{
		Name: "MySQL",
		Bun:  mysqldialect.New(),
		Types: map[string]string{
			"id": text(64), "word": text(64), "name": text(255), "long": text(1024), "text": "LONGTEXT",
			"int": "BIGINT", "bool": "BOOLEAN",
			"seq":    "BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY",
			"lookup": "", "prefix": "(" + strconv.Itoa(longPrefix) + ")",
		},
		Using:     func(index string) string { return "FORCE INDEX (" + index + ")" },
		Isolation: sql.LevelRepeatableRead,
		Lock:      "SELECT version FROM catalogue_migrations WHERE version = 1 FOR UPDATE",
		Hold:      "SELECT GET_LOCK(CONCAT('ingest.', MD5(DATABASE()), '.one'), 0)",
		Exclusive: exclusive,
		Repeated: func(err error) bool {
			switch code(err) {
			case 1050, 1060, 1061: // table, column, index of this name exists
				return true
			}
			return false
		},
		Retryable: func(err error) bool {
			switch code(err) {
			// deadlock, lock wait timeout, record changed since it was read, too many connections
			case 1213, 1205, 1020, 1040:
				return true
			}
			return errors.Is(err, errMigrating)
		},
		Duplicate: func(err error) bool { return code(err) == 1062 },
		TooLarge: func(err error) bool {
			return code(err) == 1153 || errors.Is(err, mysql.ErrPktTooLarge)
		},
		Missing: func(err error) bool { return code(err) == 1146 },
		Lost: func(err error) bool {
			switch code(err) {
			case 1053, 1927: // server shutdown, connection killed
				return true
			}
			return errors.Is(err, mysql.ErrInvalidConn) || sqlcore.Broken(err)
		},
	}
}

// longPrefix is how many characters of a long column an index holds: InnoDB takes
// 3072 bytes.
const longPrefix = 255

var errMigrating = errors.New("another server migrates the catalogue")

// exclusive runs fn while this connection holds a lock that is named for the database.
func exclusive(ctx context.Context, db *bun.DB, fn func(sqlcore.Session) error) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	const name = "CONCAT('ingest.', MD5(DATABASE()))" // at most 64 characters
	var got sql.NullInt64
	lock := fmt.Sprintf("SELECT GET_LOCK(%s, %d)", name, int(sqlcore.LockWait.Seconds()))
	if err := conn.Conn.QueryRowContext(ctx, lock).Scan(&got); err != nil {
		return err
	}
	if got.Int64 != 1 {
		return errMigrating
	}
	defer func() {
		// The connection goes back to the pool, and must not keep the lock there.
		_, e := conn.Conn.ExecContext(context.WithoutCancel(ctx), "DO RELEASE_LOCK("+name+")")
		err = errors.Join(err, e)
	}()
	return fn(sqlcore.Session{IDB: conn, Exec: func(ctx context.Context, statement string) error {
		_, err := conn.Conn.ExecContext(ctx, statement)
		return err
	}})
}

// code returns the number of an error of the server, 0 for another error.
func code(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}
