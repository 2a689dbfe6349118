package mysql

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ingest/internal/dbtest"
	"ingest/metadata"
	"ingest/metadata/repotest"
	"ingest/metadata/sqlcore"
)

func TestDisturbed(t *testing.T) {
	server := dbtest.StartMariaDB(t)
	url := server.Database(t)
	repo := open(t, url)
	t.Cleanup(func() { repo.Close() })
	hold(t, repo)
	n := 0
	repotest.Disturbed(t, repo, func() {
		if n++; n == 2 {
			cut(t, url)
			return
		}
		server.Kill()
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
	})
	held(t, url)
}

// hold keeps others from the database until the test ends.
func hold(t *testing.T, repo metadata.Repository) {
	t.Helper()
	release, err := repo.(*sqlcore.Repository).Hold(t.Context(), func(err error) { t.Errorf("lost: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
}

// held waits until the lock that went with a killed server is held again.
func held(t *testing.T, url string) {
	t.Helper()
	db := dbtest.Open(t, url)
	defer db.Close()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var n int64
		err := db.QueryRowContext(t.Context(), "SELECT COALESCE(IS_USED_LOCK(CONCAT('ingest.', MD5(DATABASE()), '.one')), 0)").Scan(&n)
		if err == nil && n > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the database is not held again: %v", err)
		}
	}
}

// cut kills all other connections to the database.
func cut(t *testing.T, url string) {
	t.Helper()
	db := dbtest.Open(t, url)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Close(); err != nil || len(ids) == 0 {
		t.Fatalf("%d connections, %v", len(ids), err)
	}
	for _, id := range ids {
		db.ExecContext(t.Context(), fmt.Sprintf("KILL CONNECTION %d", id)) // one may have ended by itself
	}
}

// What waiting does not mend is said at once, without the password.
func TestRefusedAtOnce(t *testing.T) {
	url := dbtest.MariaDB(t)
	host, _, _ := strings.Cut(strings.TrimPrefix(url, "mysql://root@"), "/")
	for name, tt := range map[string]struct{ url, want string }{
		"no database": {"mysql://root@" + host + "/none", "Unknown database 'none'"},
		"no user":     {"mysql://nobody@" + host + "/none", "Access denied"},
		"no TLS":      {url + "?tls=true", "TLS requested but server does not support TLS"},
		"no name":     {"mysql://root@" + host, "names no database"},
		"no host":     {"mysql:///d", "neither host nor socket"},
		"no URL":      {"mysql://root@" + host + ":x/d", "is no URL"},
		"no option":   {url + "?nonsense=1", `the option "nonsense"`},
		"no file":     {url + "?ca=/none", "read the authorities"},
	} {
		t.Run(name, func(t *testing.T) {
			password := ""
			if name == "no user" {
				password = "s3cret"
			}
			repo, err := Open(t.Context(), tt.url, password)
			if err == nil {
				repo.Close()
				t.Fatal("it was opened")
			}
			if text := err.Error(); !strings.Contains(text, tt.want) || strings.Contains(text, "s3cret") || strings.Contains(text, "stayed busy") {
				t.Errorf("error %q, want one that says %q", text, tt.want)
			}
		})
	}
}

// TestSettings asks the connections for what the catalogue rests on.
func TestSettings(t *testing.T) {
	_, writer, reader, err := connect(t.Context(), dbtest.MariaDB(t), "")
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	defer reader.Close()
	for name, want := range map[string]string{
		"wait_timeout": "30", "innodb_lock_wait_timeout": "10", "sql_mode": "STRICT_ALL_TABLES", "character_set_connection": "utf8mb4", "character_set_client": "utf8mb4",
	} {
		var got string
		if err := writer.QueryRowContext(t.Context(), "SELECT @@"+name).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", name, got, err, want)
		}
	}
}

// TestConfig reads addresses.
func TestConfig(t *testing.T) {
	for address, want := range map[string]string{
		"mysql://u@h/d":                               "tcp h:3306 u  d preferred",
		"mariadb://u:p%40@h:1/d?tls=skip-verify":      "tcp h:1 u p@ d skip-verify",
		"mysql://u@[::1]/d":                           "tcp [::1]:3306 u  d preferred",
		"mysql://u@/d?socket=/run/mysqld/mysqld.sock": "unix /run/mysqld/mysqld.sock u  d ",
	} {
		c, err := config(address, "")
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if got := fmt.Sprintf("%s %s %s %s %s %s", c.Net, c.Addr, c.User, c.Passwd, c.DBName, c.TLSConfig); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	if c, err := config("mysql://u:p@h/d", "other"); err != nil || c.Passwd != "other" {
		t.Errorf("password %q, %v", c.Passwd, err)
	}
}
