package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"ingest/metadata/sqlcore"
)

// defaultPort is MySQL's.
const defaultPort = "3306"

// config turns a URL into what the driver takes. Its errors do not repeat the URL,
// which may hold a password.
func config(address, password string) (*mysql.Config, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "mysql" && u.Scheme != "mariadb" {
		return nil, fmt.Errorf("the address is no URL like mysql://USER@HOST:PORT/DATABASE")
	}
	c := mysql.NewConfig()
	c.User = u.User.Username()
	c.Passwd, _ = u.User.Password()
	if password != "" {
		c.Passwd = password
	}
	if c.DBName = strings.TrimPrefix(u.Path, "/"); c.DBName == "" || strings.Contains(c.DBName, "/") {
		return nil, fmt.Errorf("the URL names no database: mysql://USER@HOST:PORT/DATABASE")
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	c.Net, c.Addr = "tcp", net.JoinHostPort(u.Hostname(), port)
	c.TLSConfig = "preferred"
	authority := ""
	for name, values := range u.Query() {
		switch value := values[len(values)-1]; name {
		case "socket":
			c.Net, c.Addr, c.TLSConfig = "unix", value, ""
		case "tls":
			c.TLSConfig = value
		case "ca":
			authority = value
		default:
			return nil, fmt.Errorf("the URL has the option %q; there are tls, ca and socket", name)
		}
	}
	if u.Hostname() == "" && c.Net != "unix" {
		return nil, fmt.Errorf("the URL names neither host nor socket")
	}
	if authority != "" {
		if c.TLS, err = trusting(authority, u.Hostname()); err != nil {
			return nil, err
		}
	}
	settle(c)
	return c, c.Apply(mysql.Charset("utf8mb4", ""))
}

// settle sets what the catalogue rests on, whatever the server's own settings are.
func settle(c *mysql.Config) {
	c.DialFunc = sqlcore.Dialer().DialContext
	c.Logger = &mysql.NopLogger{} // errors are returned as well
	c.ClientFoundRows = true
	c.MaxAllowedPacket = 0 // what the server takes
	c.Params = map[string]string{
		// Backslashes escape, quotes do not name columns, nothing is cut to fit.
		"sql_mode":                 "'STRICT_ALL_TABLES'",
		"innodb_lock_wait_timeout": strconv.Itoa(int(sqlcore.LockWait.Seconds())),
		// Of a session that says nothing, in a transaction or not.
		"wait_timeout": strconv.Itoa(int(sqlcore.IdleInTransaction.Seconds())),
	}
}

// trusting is TLS with the authorities of a PEM file alone.
func trusting(path, host string) (*tls.Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the authorities of the database: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return &tls.Config{RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS12}, nil
}
