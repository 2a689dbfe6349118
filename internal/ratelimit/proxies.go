package ratelimit

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the reverse proxies whose word about their clients' addresses is taken, as
// networks. None are trusted by themselves: X-Forwarded-For is a header that anybody can
// send.
type Proxies []netip.Prefix

// ParseProxies reads networks (10.0.0.0/8) and addresses.
func ParseProxies(texts []string) (Proxies, error) {
	var out Proxies
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(text); err == nil && a.Zone() == "" {
				a = a.Unmap()
				p = netip.PrefixFrom(a, a.BitLen())
			}
		}
		if err != nil || !p.IsValid() {
			return nil, fmt.Errorf("%q is no address and no network such as 10.0.0.0/8", text)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func (p Proxies) trusts(a netip.Addr) bool {
	for _, net := range p {
		if net.Contains(a) {
			return true
		}
	}
	return false
}

// mostHops bounds how many proxies a request is followed through.
const mostHops = 32

// Client returns who sent a request, HOST:PORT: the other end of the connection, or, if
// that is a trusted proxy, the last address in X-Forwarded-For that is none. What stands
// before it in the header anybody may have written. The port of a client behind a proxy is
// not known, and 0.
func (p Proxies) Client(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !p.trusts(peer.Addr().Unmap()) {
		return r.RemoteAddr
	}
	at := peer
	rest := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	for range mostHops {
		if rest == "" {
			break
		}
		text := rest
		if i := strings.LastIndexByte(rest, ','); i >= 0 {
			rest, text = rest[:i], rest[i+1:]
		} else {
			rest = ""
		}
		hop, ok := parseHop(strings.TrimSpace(text))
		if !ok { // who wrote this is the last one that is known
			break
		}
		if at = netip.AddrPortFrom(hop, 0); !p.trusts(hop) {
			break
		}
	}
	return at.String()
}

// parseHop reads an address as proxies write it, some with a port.
func parseHop(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap(), true
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap(), err == nil
}
