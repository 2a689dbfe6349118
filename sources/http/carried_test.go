package http

import (
	"net"
	"net/netip"
	"testing"

	"ingest/internal/errcode"
)

// TestCarried has addresses that are allowed, and within each an address that
// is not: whoever runs NAT64 allows its prefix, not his inner network behind it.
func TestCarried(t *testing.T) {
	g := newGuard(Options{
		AllowNets: []netip.Prefix{
			netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"),
			netip.MustParsePrefix("::/96"), netip.MustParsePrefix("::ffff:0:0:0/96"), netip.MustParsePrefix("192.168.7.0/24"),
		},
		DenyNets: []netip.Prefix{netip.MustParsePrefix("9.9.9.0/24"), netip.MustParsePrefix("192.168.7.66/32")},
	}.withDefaults())
	g.own = func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.IPv4(93, 184, 216, 99), Mask: net.CIDRMask(24, 32)}}, nil
	}
	for form, inner := range map[string]string{
		"64:ff9b::7f00:1": "127.0.0.1", "64:ff9b::a9fe:a9fe": "169.254.169.254", "64:ff9b::a00:1": "10.0.0.1", "64:ff9b::a83f:8110": "168.63.129.16",
		"64:ff9b::909:909": "9.9.9.9, denied", "64:ff9b::c0a8:742": "192.168.7.66, denied", "64:ff9b::5db8:d863": "93.184.216.99, the host's own",
		"64:ff9b:1::a00:1": "10.0.0.1 below /96", "64:ff9b:1:0:a:0:100:0": "10.0.0.1 below /64",
		"64:ff9b:1:2a:0:2::":    "42.0.0.2 below /56, or 0.42.0.2 below /48",
		"64:ff9b:1:a00:0:100::": "10.0.1.0 below /48",
		"2002:7f00:1::1":        "127.0.0.1", "2002:a00:1::": "10.0.0.1", "2002:a9fe:a9fe::1": "169.254.169.254",
		"2001:0:a00:1:0:0:f7f7:f7f7": "server 10.0.0.1", "2001:0:808:808:0:0:80ff:fffe": "client 127.0.0.1",
		"::a00:1": "10.0.0.1", "::ffff:0:7f00:1": "127.0.0.1",
		"2a00::5efe:a00:1": "10.0.0.1", "2a00::200:5efe:7f00:1": "127.0.0.1",
	} {
		err := g.check(netip.AddrPortFrom(netip.MustParseAddr(form), 80))
		if errcode.Of(err) != errcode.SourceAddrBlocked {
			t.Errorf("%s, which carries %s: %v, want it blocked", form, inner, err)
		}
	}
	for _, form := range []string{
		"64:ff9b::808:808", "64:ff9b::c0a8:701", "64:ff9b:1::808:808", "64:ff9b:1:0:8:808:800:0", "2002:808:808::1", "2001:0:808:808:0:0:f7f7:f7f7", "::808:808", "::1", "::ffff:0:808:808",
		"2a00::5efe:808:808", "2a00::200:5efe:808:808", "2a00::1:5efe:a00:1", "192.168.7.1",
	} {
		if err := g.check(netip.AddrPortFrom(netip.MustParseAddr(form), 80)); err != nil {
			t.Errorf("%s: %v (%v), want it allowed", form, err, err.(*errcode.Error).Unwrap())
		}
	}
}
