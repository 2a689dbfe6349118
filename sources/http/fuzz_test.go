package http

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"

	"ingest/internal/errcode"
	"ingest/sources"
)

// FuzzFetch opens any URL while names resolve to any address. Connections are
// stopped when the guard has let them through: none may lead to an address that
// is blocked by the rules as this file writes them down once more.
func FuzzFetch(f *testing.F) {
	for _, u := range []string{
		"http://example.com/a", "https://[::1]:443/?q", "http://0x7f.1", "http://u@h/", "http://a:80:90/", "http://2130706433/", "http://127.1/", "http://0177.0.0.1/",
		"http://[::ffff:10.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[fe80::1%25eth0]/", "http://127.0.0.1./", "http://example.com:22/",
		"http://[2001:4860:4860::8888]/", "http://8.8.8.8:80/", "HTTP://EXAMPLE.COM", "http://xn--80ak6aa92e.com/", "http://\uff11\uff12\uff17.0.0.1/", "http://a\\@b/", "http://a#@b/",
	} {
		for _, a := range append(blockedAddrs()[:3:3], "8.8.8.8", "2a00::1", "2a00::5efe:a00:1", "64:ff9b::808:808") {
			addr := netip.MustParseAddr(a)
			f.Add(u, addr.AsSlice())
		}
	}
	own := func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.IPv4(93, 184, 216, 99), Mask: net.CIDRMask(24, 32)}}, nil
	}
	f.Fuzz(func(t *testing.T, raw string, to []byte) {
		if u, err := checkURL(raw); err == nil {
			// What is accepted means the same after a round trip.
			again, err := url.Parse(u.String())
			if err != nil || again.Host != u.Host || again.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
				t.Fatalf("%q is accepted as %q, then read as %v, %v", raw, u.String(), again, err)
			}
			if strings.EqualFold(u.Hostname(), "localhost") {
				return // it is in the hosts file, and asks nobody
			}
		}
		addr, ok := netip.AddrFromSlice(to)
		if !ok {
			return
		}
		d := New(Options{Retries: -1, ConnectTimeout: 1 << 40})
		names(func(string, int) []netip.Addr { return []netip.Addr{addr} }).use(d)
		g := newGuard(d.c.opt)
		g.own = own
		var mu sync.Mutex
		var let []string
		d.c.dialer.ControlContext = func(ctx context.Context, network, address string, c syscall.RawConn) error {
			if err := g.control(ctx, network, address, c); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			let = append(let, address)
			return errors.New("far enough")
		}
		_, err := d.Open(t.Context(), sources.Ref{URL: raw}, nil)
		if err == nil || errcode.Of(err) == errcode.Internal {
			t.Errorf("Open of %q: %v", raw, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, address := range let {
			ap, err := netip.ParseAddrPort(address)
			if err != nil || (ap.Port() != 80 && ap.Port() != 443) || inner(ap.Addr()) {
				t.Errorf("%q, whose name is %s, connects to %s", raw, addr, address)
			}
		}
	})
}

// inner reports whether an address is not a public server's, by its octets and
// without the tables of the guard.
func inner(a netip.Addr) bool {
	if !a.Is4() {
		b := a.As16()
		if a.Is4In6() {
			return inner(a.Unmap())
		}
		word := func(i int) int { return int(b[2*i])<<8 | int(b[2*i+1]) }
		switch {
		case b[0]>>5 != 1: // not in 2000::/3
			return true
		case word(0) == 0x2001 && word(1) < 0x200, word(0) == 0x2001 && word(1) == 0xdb8, word(0) == 0x2002, word(0) == 0x3fff && word(1) < 0x1000:
			return true
		case (word(4) == 0 || word(4) == 0x200) && word(5) == 0x5efe:
			return inner(netip.AddrFrom4([4]byte(b[12:])))
		}
		return false
	}
	b := a.As4()
	x, y, z := b[0], b[1], b[2]
	switch {
	case x == 0, x == 10, x == 127, x >= 224:
		return true
	case x == 100 && y >= 64 && y < 128, x == 169 && y == 254, x == 172 && y >= 16 && y < 32, x == 192 && y == 168, x == 198 && (y == 18 || y == 19):
		return true
	case x == 192 && y == 0 && (z == 0 || z == 2), x == 192 && y == 88 && z == 99, x == 198 && y == 51 && z == 100, x == 203 && y == 0 && z == 113:
		return true
	}
	return b == [4]byte{168, 63, 129, 16} || b == [4]byte{93, 184, 216, 99}
}
