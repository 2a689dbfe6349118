package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"ingest/internal/config"
)

func TestKeyringFlags(t *testing.T) {
	for _, c := range []struct {
		args string
		want []config.KeyringFile
	}{
		{"", nil},
		{"--keyring debian=/k/d.gpg --keyring ubuntu=/k/u=1.gpg", []config.KeyringFile{{Name: "debian", Path: "/k/d.gpg"}, {Name: "ubuntu", Path: "/k/u=1.gpg"}}},
		{"--keyring a=/a,b=/b", []config.KeyringFile{{Name: "a", Path: "/a"}, {Name: "b", Path: "/b"}}},
		{"--keyring /etc/keyrings", []config.KeyringFile{{Path: "/etc/keyrings"}}},
		{"--keyring a=/a --keyring a=/b", nil},
		{"--keyring a=", nil},
		{"--keyring =/a", nil},
		{"--keyring a/b=/a", nil},
	} {
		var s config.Server
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		s.Flags(f)
		if err := f.Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		err := s.Check()
		if (err == nil) != (c.want != nil || c.args == "") {
			t.Errorf("%s: %v", c.args, err)
		}
		if d := cmp.Diff(c.want, s.Trust.Keyrings); err == nil && d != "" {
			t.Errorf("%s: %s", c.args, d)
		}
	}
}
