package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"ingest/internal/config"
	httpsource "ingest/sources/http"
)

// TestHTTPOptions shows that each limit of the configuration reaches the driver,
// and that a 0 which means none does not come to mean the default.
func TestHTTPOptions(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want httpsource.Options
	}{
		{nil, httpsource.Options{
			MaxBytes: 100 << 30, MaxRedirects: 5, MaxHeaderBytes: 64 << 10, Retries: 4,
			ConnectTimeout: 10 * time.Second, HeaderTimeout: 30 * time.Second, StallTimeout: 30 * time.Second, MinRate: 64 << 10, RateWindow: time.Minute,
			PerHost: httpsource.HostLimit{Connections: 16, BytesPerSecond: -1}, Hosts: map[string]httpsource.HostLimit{},
		}},
		{[]string{
			"--allow-net", "10.0.0.0/8", "--deny-net", "9.9.9.0/24", "--source-ports", "8443", "--source-https-only",
			"--max-source-bytes", "0", "--source-redirects", "0", "--source-header-bytes", "2000", "--source-retries", "0",
			"--source-connect-timeout", "1s", "--source-header-timeout", "2s", "--source-stall-timeout", "3s", "--source-min-rate", "0", "--source-rate-window", "4s",
			"--source-connections-per-host", "0", "--source-bandwidth", "1000", "--source-hosts", "mirror.example.org=4/50000000,other.example.org=0",
		}, httpsource.Options{
			AllowNets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, DenyNets: []netip.Prefix{netip.MustParsePrefix("9.9.9.0/24")},
			Ports: []uint16{8443}, HTTPSOnly: true,
			MaxBytes: -1, MaxRedirects: -1, MaxHeaderBytes: 2000, Retries: -1,
			ConnectTimeout: time.Second, HeaderTimeout: 2 * time.Second, StallTimeout: 3 * time.Second, MinRate: -1, RateWindow: 4 * time.Second,
			PerHost: httpsource.HostLimit{Connections: -1, BytesPerSecond: 1000},
			Hosts: map[string]httpsource.HostLimit{
				"mirror.example.org": {Connections: 4, BytesPerSecond: 50000000}, "other.example.org": {Connections: -1, BytesPerSecond: -1},
			},
		}},
	} {
		var c config.Server
		f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		c.Flags(f)
		if err := f.Parse(tt.args); err != nil {
			t.Fatal(err)
		}
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, httpOptions(&c, nil), cmpopts.EquateComparable(netip.Prefix{})); d != "" {
			t.Errorf("%v (-want +got):\n%s", tt.args, d)
		}
	}
}
