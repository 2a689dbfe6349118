package config

import (
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Fetch limits what http sources may reach, and how slow they may be. AllowNets
// and MaxSourceBytes of Server belong to it too.
type Fetch struct {
	DenyNets  []netip.Prefix
	Ports     []uint16 // nil means 80 and 443, and any within AllowNets
	HTTPSOnly bool

	Redirects   int   // most redirects of one request; 0 means none
	HeaderBytes int64 // largest header of an answer, bytes
	Retries     int   // repetitions after a passing failure; 0 means none

	ConnectTimeout time.Duration
	HeaderTimeout  time.Duration
	StallTimeout   time.Duration
	MinRate        int64 // bytes a second over RateWindow; 0 means no minimum
	RateWindow     time.Duration

	// ConnectionsPerHost and Bandwidth (bytes a second) are the budget of each host, and
	// Hosts those of single ones; 0 means no limit.
	ConnectionsPerHost int
	Bandwidth          int64
	Hosts              map[string]HostBudget
	CA                 string   // PEM file of more certificate authorities; "" is none
	Proxy              *url.URL // nil is none

	denyNets, ports, hosts, proxy string
}

// HostBudget is what one host may be asked for: requests at one time, and bytes a
// second; 0 means no limit.
type HostBudget struct {
	Connections int
	Bandwidth   int64
}

func (c *Fetch) flags(f *pflag.FlagSet) {
	f.StringVar(&c.denyNets, "deny-net", "", "networks that http sources may not reach, even if public or allowed, CIDR[,CIDR] (default none)")
	f.StringVar(&c.ports, "source-ports", "", "ports that http sources may reach, PORT[,PORT] (default 80 and 443, and any within --allow-net)")
	f.BoolVar(&c.HTTPSOnly, "source-https-only", false, "take no http URLs, https only")
	f.IntVar(&c.Redirects, "source-redirects", 5, "redirects that one request of an http source follows (0: none)")
	f.Int64Var(&c.HeaderBytes, "source-header-bytes", 64<<10, "largest header of an http source's answer, bytes")
	f.IntVar(&c.Retries, "source-retries", 4, "repetitions of a request of an http source after a passing failure (0: none)")
	f.DurationVar(&c.ConnectTimeout, "source-connect-timeout", 10*time.Second, "how long to wait for an http source's connection, and again for its TLS handshake")
	f.DurationVar(&c.HeaderTimeout, "source-header-timeout", 30*time.Second, "how long to wait for the header of an http source's answer")
	f.DurationVar(&c.StallTimeout, "source-stall-timeout", 30*time.Second, "how long to wait for the next byte of an http source")
	f.Int64Var(&c.MinRate, "source-min-rate", 64<<10, "least that an http source must send, bytes a second (0: no minimum)")
	f.DurationVar(&c.RateWindow, "source-rate-window", time.Minute, "time of waiting for an http source over which its rate is measured")
	f.IntVar(&c.ConnectionsPerHost, "source-connections-per-host", 16, "requests to one host of http sources at one time, of all imports together (0: any number)")
	f.Int64Var(&c.Bandwidth, "source-bandwidth", 0, "bytes a second from one host of http sources, for all imports together (0: no limit)")
	f.StringVar(&c.hosts, "source-hosts", "", "hosts with other budgets, HOST[:PORT]=CONNECTIONS[/BYTES-PER-SECOND][,...], such as mirror.example.org=4/50000000 (0: no limit)")
	f.StringVar(&c.CA, "source-ca", "", "PEM `FILE` of certificate authorities that https sources may have besides the system's")
	f.StringVar(&c.proxy, "source-proxy", "", "`URL` of the HTTP proxy that connects to http sources; it then decides where names lead (default: none, whatever the environment says)")
}

// check parses the lists and refuses what cannot work.
func (c *Fetch) check() error {
	var err error
	if c.DenyNets, err = networks("--deny-net", c.denyNets); err != nil {
		return err
	}
	c.Ports = nil
	for _, s := range items(c.ports) {
		p, err := strconv.ParseUint(s, 10, 16)
		if err != nil || p == 0 {
			return bad("--source-ports", s, "is not a port from 1 to 65535")
		}
		c.Ports = append(c.Ports, uint16(p))
	}
	if err := c.checkNetwork(); err != nil {
		return err
	}
	for _, n := range []struct {
		flag             string
		value, low, high int64
	}{
		{"--source-connections-per-host", int64(c.ConnectionsPerHost), 0, 10000},
		{"--source-bandwidth", c.Bandwidth, 0, math.MaxInt64},
		{"--source-redirects", int64(c.Redirects), 0, 20},
		{"--source-retries", int64(c.Retries), 0, 100},
		{"--source-header-bytes", c.HeaderBytes, 1 << 10, 1 << 20},
		{"--source-min-rate", c.MinRate, 0, math.MaxInt32},
	} {
		if n.value < n.low || n.value > n.high {
			return bad(n.flag, fmt.Sprint(n.value), fmt.Sprintf("is not from %d to %d", n.low, n.high))
		}
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{
		{"--source-connect-timeout", c.ConnectTimeout},
		{"--source-header-timeout", c.HeaderTimeout},
		{"--source-stall-timeout", c.StallTimeout},
		{"--source-rate-window", c.RateWindow},
	} {
		if d.value <= 0 {
			return bad(d.flag, d.value.String(), "is no time to wait, such as 30s")
		}
	}
	return nil
}

// networks parses a list of networks.
func networks(flag, list string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range items(list) {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, bad(flag, s, "is not a network in CIDR form, such as 10.0.0.0/8")
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// items splits a list at commas and spaces.
func items(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
