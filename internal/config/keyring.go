package config

import (
	"strings"

	"github.com/spf13/pflag"
)

// A KeyringFile says where the keys are that an operator trusts.
type KeyringFile struct {
	Name string // "" for a folder, whose files name their keyrings themselves
	Path string
}

// Trust says by what an image's publisher may vouch for it.
type Trust struct {
	Keyrings []KeyringFile
	AllowMD5 bool // admit digests of MD5, which can be forged

	keyrings []string
}

func (c *Trust) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&c.keyrings, "keyring", nil, "public OpenPGP keys whose signatures imports may demand, `NAME=FILE` as gpg --export writes it, or a folder of such files; repeat for each (default none)")
	f.BoolVar(&c.AllowMD5, "allow-md5", false, "take MD5 for the digest of a source too, although it can be forged")
}

// check parses the list and refuses a name that is given twice.
func (c *Trust) check() error {
	c.Keyrings = nil
	seen := map[string]bool{}
	for _, s := range c.keyrings {
		name, path, named := strings.Cut(s, "=")
		if !named {
			name, path = "", s
		}
		switch {
		case path == "" || named && !keyringName(name):
			return bad("--keyring", s, "is not NAME=FILE, with a name of letters, digits, dots, dashes and underscores")
		case named && seen[name]:
			return bad("--keyring", s, "gives a name that another one has")
		}
		seen[name] = true
		c.Keyrings = append(c.Keyrings, KeyringFile{Name: name, Path: path})
	}
	return nil
}

// keyringName accepts what is easy to say in a request and a policy.
func keyringName(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	})
}
