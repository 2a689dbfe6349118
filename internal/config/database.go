package config

import (
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"ingest/internal/errcode"
)

// envPassword holds the password of the database.
const envPassword = "INGEST_DATABASE_PASSWORD"

// A Database says where the catalogue is.
type Database struct {
	// URL is postgres://… or mysql://…; "" is a file in the data folder. It may hold a
	// password: what may be shown is Name.
	URL string
	// PasswordFile holds the password, alone on its line.
	PasswordFile string
	// Password stands above that of the URL.
	Password string
}

// Flags declares the flags.
func (d *Database) Flags(f *pflag.FlagSet) {
	f.StringVar(&d.URL, "database", "", "`URL` of the database that keeps the catalogue, postgres://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE (default: a file in the data folder)")
	f.StringVar(&d.PasswordFile, "database-password-file", "", "`FILE` with its password (or "+envPassword+")")
}

// Check refuses what cannot be a database, and reads the password.
func (d *Database) Check() error {
	if d.URL == "" {
		if d.PasswordFile != "" {
			return bad("--database-password-file", d.PasswordFile, "needs --database")
		}
		return nil
	}
	u, err := url.Parse(d.URL)
	if err != nil || d.Driver() == "" {
		// The value may hold a password.
		return refusedDatabase("is no URL like postgres://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE")
	}
	_, inURL := u.User.Password()
	inURL = inURL || u.Query().Has("sslpassword") // of the key of a client's certificate
	if u.Query().Has("password") || inURL && os.Getenv("INGEST_DATABASE") != d.URL {
		return refusedDatabase("holds a password, which everybody on this machine can read: give it in " + envPassword + ", or in a file with --database-password-file, or the URL in INGEST_DATABASE")
	}
	if d.Password = os.Getenv(envPassword); d.PasswordFile == "" {
		return nil
	}
	text, err := os.ReadFile(d.PasswordFile)
	if err != nil {
		return bad("--database-password-file", d.PasswordFile, "cannot be read: "+reason(err))
	}
	if d.Password = strings.TrimRight(string(text), "\r\n"); d.Password == "" {
		return bad("--database-password-file", d.PasswordFile, "is empty")
	}
	return nil
}

func refusedDatabase(why string) error {
	return errcode.New(errcode.BadRequest, "--database %s", why).With(errcode.Evidence{Structure: "configuration", Field: "--database"})
}

// Driver is "postgres", "mysql", "sqlite" for none, or "" for an unknown one.
func (d *Database) Driver() string {
	scheme, _, _ := strings.Cut(d.URL, "://")
	switch {
	case d.URL == "":
		return "sqlite"
	case scheme == "postgres" || scheme == "postgresql":
		return "postgres"
	case scheme == "mysql" || scheme == "mariadb":
		return "mysql"
	}
	return ""
}

// Name is the URL without its secrets.
func (d *Database) Name() string {
	u, err := url.Parse(d.URL)
	if err != nil {
		return ""
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	u.RawQuery = ""
	return u.String()
}
