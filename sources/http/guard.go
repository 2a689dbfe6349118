package http

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"ingest/internal/errcode"
)

// blocked lists the networks that no public server has, after the IANA
// registries of special-purpose addresses (RFC 6890), and the metadata services
// of clouds that stand outside them.
func blocked() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range []string{
		"0.0.0.0/8",        // this network
		"10.0.0.0/8",       // private
		"100.64.0.0/10",    // shared, carrier-grade NAT; holds 100.100.100.200, Alibaba's metadata
		"127.0.0.0/8",      // loopback
		"168.63.129.16/32", // Azure's wire server
		"169.254.0.0/16",   // link-local; holds 169.254.169.254, metadata almost everywhere
		"172.16.0.0/12",    // private
		"192.0.0.0/24",     // protocol assignments; holds 192.0.0.192, Oracle's metadata
		"192.0.2.0/24",     // documentation
		"192.88.99.0/24",   // 6to4 relay
		"192.168.0.0/16",   // private
		"198.18.0.0/15",    // benchmarks
		"198.51.100.0/24",  // documentation
		"203.0.113.0/24",   // documentation
		"224.0.0.0/4",      // multicast
		"240.0.0.0/4",      // reserved, and broadcast
		"::/96",            // unspecified, loopback, and IPv4-compatible
		"::ffff:0:0:0/96",  // IPv4-translated (SIIT)
		"64:ff9b::/96",     // NAT64: leads to any IPv4 address
		"64:ff9b:1::/48",   // NAT64, local use
		"100::/64",         // discard
		"100:0:0:1::/64",   // dummy prefix, RFC 9780
		"2001::/23",        // protocol assignments; holds Teredo, which embeds IPv4 addresses
		"2001:db8::/32",    // documentation
		"2002::/16",        // 6to4: embeds IPv4 addresses
		"3fff::/20",        // documentation
		"5f00::/16",        // segment routing
		"fc00::/7",         // unique local; holds fd00:ec2::254, Amazon's metadata
		"fe80::/10",        // link-local
		"fec0::/10",        // site-local
		"ff00::/8",         // multicast
		"::/3",             // with the next two: all but 2000::/3, from which
		"4000::/2",         // alone IANA gives out unicast addresses (RFC 4291
		"8000::/1",         // section 2.4)
	} {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// guard decides which addresses may be connected to.
type guard struct {
	blocked []netip.Prefix
	allow   []netip.Prefix
	deny    []netip.Prefix
	ports   []uint16
	// own lists the addresses of this host.
	own func() ([]net.Addr, error)
}

func newGuard(o Options) *guard {
	return &guard{blocked: blocked(), allow: unmap(o.AllowNets), deny: unmap(o.DenyNets), ports: o.Ports, own: net.InterfaceAddrs}
}

// unmap turns networks of IPv4-mapped addresses into those of IPv4.
func unmap(in []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range in {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		out = append(out, p.Masked())
	}
	return out
}

// control is net.Dialer.ControlContext: it sees the address that is about to be
// connected to.
func (g *guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || (network != "tcp4" && network != "tcp6") {
		return refuse("%s %q is not an address that can be checked", network, address)
	}
	return g.check(ap)
}

// check decides on one address and port. An address that carries others must
// be allowed, and each of those too.
func (g *guard) check(ap netip.AddrPort) error {
	addr := ap.Addr().Unmap().WithZone("")
	allowed, err := g.checkAddr(addr)
	if err != nil {
		return refuse("%w", err)
	}
	for _, inner := range carried(addr) {
		if _, err := g.checkAddr(inner); err != nil {
			return refuse("%s carries an IPv4 address: %w", addr, err)
		}
	}
	if g.ports == nil && allowed {
		return nil
	}
	if ports := g.portList(); !slices.Contains(ports, ap.Port()) {
		return refuse("port %d of %s is not one of %d", ap.Port(), addr, ports)
	}
	return nil
}

// portList is what holds where the operator has said nothing of ports.
func (g *guard) portList() []uint16 {
	if g.ports == nil {
		return []uint16{80, 443}
	}
	return g.ports
}

// checkAddr returns why an address may not be connected to. If it may, it
// reports whether the operator has allowed it by name.
func (g *guard) checkAddr(addr netip.Addr) (allowed bool, err error) {
	holds := func(p netip.Prefix) bool { return p.Contains(addr) }
	if i := slices.IndexFunc(g.deny, holds); i >= 0 {
		return false, fmt.Errorf("%s is in the denied network %s", addr, g.deny[i])
	}
	if slices.ContainsFunc(g.allow, holds) {
		return true, nil
	}
	if i := slices.IndexFunc(g.blocked, holds); i >= 0 {
		return false, fmt.Errorf("%s is in %s", addr, g.blocked[i])
	}
	if !addr.IsGlobalUnicast() || addr.IsPrivate() {
		return false, fmt.Errorf("%s is not a public address", addr)
	}
	// The host's own services may trust who comes from the host, on whatever
	// address.
	own, err := g.own()
	if err != nil {
		return false, fmt.Errorf("the host's own addresses are unknown: %w", err)
	}
	for _, a := range own {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap().WithZone("") == addr {
			return false, fmt.Errorf("%s is an address of this host", addr)
		}
	}
	return false, nil
}

// refuse keeps the address out of the message: what a name resolves to within
// the operator's network is not the tenant's business.
func refuse(format string, args ...any) error {
	return errcode.Wrap(fmt.Errorf(format, args...), errcode.SourceAddrBlocked,
		"the source's host has an address or a port that the operator does not allow")
}
