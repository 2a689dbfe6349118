package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDatabase(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, env, password string
		d                   Database
		want                string // password, or part of the refusal
		fails               bool
	}{
		{name: "none"},
		{name: "plain", d: Database{URL: "postgres://u@h/db"}},
		{name: "other name", d: Database{URL: "mariadb://u@h/db"}},
		{name: "password of the environment", d: Database{URL: "mysql://u@h/db"}, password: "s3cret", want: "s3cret"},
		{name: "password of a file", d: Database{URL: "mysql://u@h/db", PasswordFile: file}, password: "other", want: "s3cret"},
		{name: "URL of the environment", env: "mysql://u:s3cret@h/db", d: Database{URL: "mysql://u:s3cret@h/db"}},
		{name: "password in the flag", d: Database{URL: "mysql://u:s3cret@h/db"}, want: "holds a password", fails: true},
		{name: "password in the query", d: Database{URL: "postgres://u@h/db?password=s3cret"}, want: "holds a password", fails: true},
		{name: "password of the key in the query", d: Database{URL: "postgres://u@h/db?sslpassword=s3cret"}, want: "holds a password", fails: true},
		{name: "password of the key in the environment", env: "postgres://u@h/db?sslpassword=s3cret", d: Database{URL: "postgres://u@h/db?sslpassword=s3cret"}},
		{name: "no file", d: Database{URL: "mysql://u@h/db", PasswordFile: file + "x"}, want: "cannot be read", fails: true},
		{name: "file without a database", d: Database{PasswordFile: file}, want: "needs --database", fails: true},
		{name: "unknown", d: Database{URL: "oracle://u:s3cret@h/db"}, want: "is no URL like", fails: true},
		{name: "no URL", d: Database{URL: "host=h password=s3cret"}, want: "is no URL like", fails: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("INGEST_DATABASE", tt.env)
			t.Setenv(envPassword, tt.password)
			err := tt.d.Check()
			switch {
			case (err != nil) != tt.fails:
				t.Fatalf("error %v", err)
			case err == nil && tt.d.Password != tt.want:
				t.Errorf("password %q, want %q", tt.d.Password, tt.want)
			case err != nil && !strings.Contains(err.Error(), tt.want):
				t.Errorf("error %q does not say %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "s3cret"):
				t.Errorf("error %q tells the password", err)
			}
			if strings.Contains(tt.d.Name(), "s3cret") && !tt.fails {
				t.Errorf("name %q tells the password", tt.d.Name())
			}
		})
	}
}
