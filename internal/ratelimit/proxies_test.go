package ratelimit

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func request(remote string, forwarded ...string) *http.Request {
	r := &http.Request{RemoteAddr: remote, Header: http.Header{}}
	for _, f := range forwarded {
		r.Header.Add("X-Forwarded-For", f)
	}
	return r
}

func TestClient(t *testing.T) {
	trusted, err := ParseProxies([]string{"10.0.0.0/8", "192.0.2.1", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"nobody before it", "198.51.100.7:4000", nil, "198.51.100.7:4000"},
		{"a client that says it is another", "198.51.100.7:4000", []string{"203.0.113.9"}, "198.51.100.7:4000"},
		{"a proxy", "10.1.2.3:4000", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"a proxy that says nothing", "10.1.2.3:4000", nil, "10.1.2.3:4000"},
		{"what the client wrote before", "10.1.2.3:4000", []string{"192.0.2.200, 203.0.113.9"}, "203.0.113.9:0"},
		{"two proxies", "10.1.2.3:4000", []string{"8.8.8.8, 203.0.113.9, 192.0.2.1"}, "203.0.113.9:0"},
		{"two headers", "10.1.2.3:4000", []string{"203.0.113.9", "192.0.2.1"}, "203.0.113.9:0"},
		{"only proxies", "10.1.2.3:4000", []string{"10.9.9.9"}, "10.9.9.9:0"},
		{"nonsense", "10.1.2.3:4000", []string{"203.0.113.9, unknown"}, "10.1.2.3:4000"},
		{"nonsense before a proxy", "10.1.2.3:4000", []string{"<script>, 192.0.2.1"}, "192.0.2.1:0"},
		{"empty elements", "10.1.2.3:4000", []string{",,"}, "10.1.2.3:4000"},
		{"with a port", "10.1.2.3:4000", []string{"203.0.113.9:555"}, "203.0.113.9:0"},
		{"IPv6", "[2001:db8::1]:4000", []string{"[2001:470::5]:80"}, "[2001:470::5]:0"},
		{"IPv4 in IPv6", "[::ffff:10.1.2.3]:4000", []string{"::ffff:203.0.113.9"}, "203.0.113.9:0"},
		{"a socket", "@", []string{"203.0.113.9"}, "@"},
		{"many hops", "10.1.2.3:4000", []string{"203.0.113.9" + strings.Repeat(", 10.0.0.1", 100)}, "10.0.0.1:0"},
	} {
		if got := trusted.Client(request(c.remote, c.forwarded...)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if got := (Proxies)(nil).Client(request("127.0.0.1:1", "203.0.113.9")); got != "127.0.0.1:1" {
		t.Errorf("nobody is trusted, and the client is %s", got)
	}
}

func TestProxiesThatAreNone(t *testing.T) {
	for _, text := range []string{"", "proxy.example.org", "10.0.0.0/33", "10.0.0.1:80", "fe80::1%eth0", "*"} {
		if p, err := ParseProxies([]string{"10.0.0.1", text}); err == nil {
			t.Errorf("%q is taken as %v", text, p)
		}
	}
}

func TestPeekTakesNothing(t *testing.T) {
	l := New(0.001, 2)
	for range 10 {
		if l.Peek("a") != 0 {
			t.Fatal("looking has used the bucket up")
		}
	}
	l.Take("a")
	l.Take("a")
	if l.Peek("a") <= 0 || l.Peek("b") != 0 {
		t.Error("an empty bucket looks full, or a full one empty")
	}
}

func FuzzClient(f *testing.F) {
	f.Add("10.1.2.3:4000", "203.0.113.9, 10.0.0.1")
	f.Add("[2001:db8::1]:4000", "[2001:470::5]:80,,unknown")
	f.Add("@", "::ffff:1.2.3.4%x")
	trusted := Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	f.Fuzz(func(t *testing.T, remote, forwarded string) {
		got := trusted.Client(request(remote, forwarded))
		if _, err := netip.ParseAddrPort(got); err != nil && got != remote {
			t.Errorf("the client is %q", got)
		}
		if peer, err := netip.ParseAddrPort(remote); (err != nil || !trusted.trusts(peer.Addr().Unmap())) && got != remote {
			t.Errorf("%s is not trusted, and its word was taken: %q", remote, got)
		}
		Address(got)
	})
}
