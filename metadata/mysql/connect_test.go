package mysql

import (
	"fmt"
	"testing"

	"ingest/internal/dbtest"
)

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
