package config

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"ingest/internal/bandwidth"
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

		"denied net is an address": {"--deny-net", "10.0.0.1"},
		"port 0":                   {"--source-ports", "443,0"},
		"port is a name":           {"--source-ports", "https"},
		"port too large":           {"--source-ports", "65536"},
		"negative redirects":       {"--source-redirects", "-1"},
		"too many redirects":       {"--source-redirects", "21"},
		"negative retries":         {"--source-retries", "-1"},
		"too many retries":         {"--source-retries", "101"},
		"small header":             {"--source-header-bytes", "1023"},
		"large header":             {"--source-header-bytes", "1048577"},
		"negative rate":            {"--source-min-rate", "-1"},
		"rate too large":           {"--source-min-rate", "2147483648"},
		"no time to connect":       {"--source-connect-timeout", "0"},
		"no time for the header":   {"--source-header-timeout", "0s"},
		"negative stall":           {"--source-stall-timeout", "-1s"},
		"no window":                {"--source-rate-window", "0"},
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

// TestFetchLimits has each limit at its border.
func TestFetchLimits(t *testing.T) {
	c, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	want := Fetch{Redirects: 5, HeaderBytes: 64 << 10, Retries: 4, ConnectTimeout: 10 * time.Second, HeaderTimeout: 30 * time.Second, StallTimeout: 30 * time.Second, MinRate: 64 << 10, RateWindow: time.Minute, ConnectionsPerHost: 16}
	if !reflect.DeepEqual(c.Fetch, want) || c.MaxSourceBytes != 100<<30 {
		t.Errorf("defaults = %+v, %d bytes; want %+v", c.Fetch, c.MaxSourceBytes, want)
	}
	c, err = parse(t, "--deny-net", "10.9.8.7/16, 2001:db8::/32", "--source-ports", "1, 65535", "--source-https-only",
		"--source-redirects", "20", "--source-header-bytes", "1024", "--source-retries", "100", "--source-min-rate", "2147483647",
		"--source-connect-timeout", "1ns", "--source-header-timeout", "1ns", "--source-stall-timeout", "1ns", "--source-rate-window", "1ns",
		"--source-connections-per-host", "3", "--source-bandwidth", "1000000", "--source-ca", "ca.pem",
		"--source-hosts", "A.example=4, b.example:8080=0/5000", "--source-proxy", "http://me:canary@proxy:3128")
	if err != nil {
		t.Fatal(err)
	}
	got := c.Fetch
	got.denyNets, got.ports, got.hosts, got.proxy = "", "", "", ""
	want = Fetch{
		DenyNets: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16"), netip.MustParsePrefix("2001:db8::/32")}, Ports: []uint16{1, 65535}, HTTPSOnly: true,
		Redirects: 20, HeaderBytes: 1024, Retries: 100, ConnectTimeout: 1, HeaderTimeout: 1, StallTimeout: 1, MinRate: 1<<31 - 1, RateWindow: 1,
		ConnectionsPerHost: 3, Bandwidth: 1e6, CA: "ca.pem",
		Hosts: map[string]HostBudget{"a.example": {4, 0}, "b.example:8080": {0, 5000}},
		Proxy: &url.URL{Scheme: "http", User: url.UserPassword("me", "canary"), Host: "proxy:3128"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("flags = %+v, want %+v", got, want)
	}
	if _, err := parse(t, "--source-redirects", "0", "--source-retries", "0", "--source-min-rate", "0", "--source-header-bytes", "1048576"); err != nil {
		t.Error(err)
	}
}

// TestNetworkOfSources has budgets, proxies and staging folders that cannot work.
func TestNetworkOfSources(t *testing.T) {
	for _, args := range [][]string{
		{"--source-hosts", "example.org"}, {"--source-hosts", "=4"}, {"--source-hosts", "a=x"}, {"--source-hosts", "a=1/x"}, {"--source-hosts", "a=-1"},
		{"--source-hosts", "a=1/-1"}, {"--source-connections-per-host", "-1"}, {"--source-bandwidth", "-1"},
		{"--source-proxy", "socks5://me:canary@proxy"}, {"--source-proxy", "canary"}, {"--source-proxy", "http://"},
		{"--staging-shared"},
	} {
		_, err := parse(t, args...)
		if errcode.Of(err) != errcode.BadRequest {
			t.Errorf("%v: %v", args, err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("the error of a proxy shows its password: %v", err)
		}
	}
	c, err := parse(t, "--staging", "shared", "--staging-shared")
	if err != nil || !filepath.IsAbs(c.StagingDir()) || filepath.Base(c.StagingDir()) != "shared" {
		t.Errorf("staging is in %q, %v", c.StagingDir(), err)
	}
	if c.Anywhere() {
		t.Error("a server with a store in a folder runs the steps of an import anywhere")
	}
}

func TestBandwidth(t *testing.T) {
	for text, want := range map[string]bandwidth.Rate{"200MiB": 200 << 20, "0": 0, "1048576": 1 << 20} {
		if c, err := parse(t, "--bandwidth", text); err != nil || c.Bandwidth != want {
			t.Errorf("%s is %d, %v", text, c.Bandwidth, err)
		}
		t.Setenv("INGEST_BANDWIDTH", text)
		if c, err := parse(t); err != nil || c.Bandwidth != want {
			t.Errorf("the variable %s is %d, %v", text, c.Bandwidth, err)
		}
	}
	t.Setenv("INGEST_BANDWIDTH", "fast")
	if _, err := parse(t); errcode.Of(err) != errcode.BadRequest {
		t.Errorf("a bad variable is taken: %v", err)
	}
}
