package config

import (
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"

	"ingest/internal/errcode"
)

func parse(t *testing.T, args ...string) (*Server, error) {
	t.Helper()
	var c Server
	f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	c.Flags(f)
	if err := f.Parse(args); err != nil {
		t.Fatal(err)
	}
	if err := Env(f); err != nil {
		return nil, err
	}
	return &c, c.Check()
}

func TestDefaultsAreWhole(t *testing.T) {
	c, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(c.DataDir) || c.Listen != "127.0.0.1:9292" || c.OutputFormat != "qcow2" || c.HashAlgo != "sha256" || len(c.FileRoots) != 0 {
		t.Errorf("defaults: %+v", c)
	}
}

func TestRefuses(t *testing.T) {
	for name, args := range map[string][]string{
		"open listener":      {"--listen", "0.0.0.0:9292"},
		"public listener":    {"--listen", "192.0.2.1:9292"},
		"all interfaces":     {"--listen", ":9292"},
		"no port":            {"--listen", "127.0.0.1"},
		"unknown format":     {"--output-format", "vmdk"},
		"compressed raw":     {"--output-format", "raw", "--output-compression", "zstd"},
		"weak hash":          {"--hash-algo", "md5"},
		"root is no folder":  {"--file-roots", "/nonexistent-folder"},
		"net is an address":  {"--allow-net", "10.0.0.1"},
		"no import at once":  {"--imports", "0"},
		"empty data folder":  {"--data-dir", ""},
		"empty namespace":    {"--namespace", ""},
		"no such port":       {"--listen", "127.0.0.1:99999"},
		"named port":         {"--listen", "127.0.0.1:http"},
		"no port of UI":      {"--ui-port", "65536"},
		"no Temporal port":   {"--temporal-port", "-1"},
		"negative drain":     {"--drain", "-1s"},
		"negative max bytes": {"--max-source-bytes", "-1"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(t, args...); errcode.Of(err) != errcode.BadRequest {
				t.Errorf("got %v, want %s", err, errcode.BadRequest)
			}
		})
	}
}

func TestListsAndEnvironment(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	t.Setenv("INGEST_ALLOW_NET", "127.0.0.0/8, 10.1.2.3/8")
	t.Setenv("INGEST_LISTEN", "127.0.0.1:1")
	c, err := parse(t, "--file-roots", a+":"+b, "--listen", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.FileRoots) != 2 || len(c.AllowNets) != 2 || c.AllowNets[1].String() != "10.0.0.0/8" {
		t.Errorf("lists: %v %v", c.FileRoots, c.AllowNets)
	}
	if c.Listen != "[::1]:0" {
		t.Errorf("the environment won over a flag: %s", c.Listen)
	}
	t.Setenv("INGEST_IMPORTS", "many")
	if _, err := parse(t); errcode.Of(err) != errcode.BadRequest {
		t.Errorf("a bad variable is taken: %v", err)
	}
}
