package dbtest

import (
	"database/sql"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
)

// A server that is killed is no news.
func init() { _ = mysql.SetLogger(&mysql.NopLogger{}) }

// Debian keeps servers out of the path of users.
const postgresFolders = "/usr/lib/postgresql/*/bin"

// postgres writes each commit to the system, which a killed server survives, and not
// to the disk. It refuses to run as root.
var postgres = kind{
	name: "postgres", driver: "pgx",
	prepare: func(dir string) (*syscall.Credential, error) {
		as, err := nobody()
		if err != nil {
			return nil, err
		}
		if as != nil {
			if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
				return nil, err
			}
		}
		initdb, err := program("initdb", postgresFolders)
		if err != nil {
			return nil, err
		}
		return as, run1(as, dir, initdb, "-D", filepath.Join(dir, "data"), "-U", "test", "--auth=trust", "--no-sync", "--no-locale", "-E", "UTF8")
	},
	command: func(dir, port string) (string, []string, error) {
		path, err := program("postgres", postgresFolders)
		return path, []string{"-D", filepath.Join(dir, "data"), "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
			"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200", "-c", "shared_buffers=16MB"}, err
	},
	admin: func(port string) string { return "postgres://test@127.0.0.1:" + port + "/postgres?sslmode=disable" },
	url: func(port, database string) string {
		return "postgres://test@127.0.0.1:" + port + "/" + database + "?sslmode=disable"
	},
}

var mariadb = kind{
	name: "mariadb", driver: "mysql",
	prepare: func(dir string) (*syscall.Credential, error) {
		install, err := program("mariadb-install-db")
		if err != nil {
			return nil, err
		}
		return nil, run1(nil, dir, install, "--no-defaults", "--user="+me(), "--datadir="+filepath.Join(dir, "data"),
			"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
	},
	command: func(dir, port string) (string, []string, error) {
		path, err := program("mariadbd", "/usr/sbin")
		return path, []string{"--no-defaults", "--user=" + me(), "--datadir=" + filepath.Join(dir, "data"), "--socket=" + filepath.Join(dir, "s"),
			"--bind-address=127.0.0.1", "--port=" + port, "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=0",
			"--skip-log-bin", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--max-connections=200"}, err
	},
	admin: func(port string) string { return "root@tcp(127.0.0.1:" + port + ")/" },
	url:   func(port, database string) string { return "mysql://root@127.0.0.1:" + port + "/" + database },
}

// nobody returns the user as whom a server runs that refuses root, nil for this one.
func nobody() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func me() string {
	u, err := user.Current()
	if err != nil {
		return "root"
	}
	return u.Username
}

// Open opens the database of a URL, beside ingest.
func Open(tb testing.TB, address string) *sql.DB {
	tb.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	driver, dsn := "pgx", address
	if u.Scheme == "mysql" {
		driver, dsn = "mysql", u.User.String()+"@tcp("+u.Host+")/"+strings.TrimPrefix(u.Path, "/")
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	return db
}
