package http

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"
)

// alertNoProtocol is what a TLS server says that speaks none of the protocols that
// it is offered: no_application_protocol, RFC 7301 section 3.2.
const alertNoProtocol = tls.AlertError(120)

// proxyLookup bounds the time in which a name is looked up beside a proxy.
const proxyLookup = 2 * time.Second

// versions remembers which hosts speak nothing but HTTP/2, and which have answered
// in HTTP/1.1 and are not asked again.
type versions struct {
	mu  sync.Mutex
	two map[string]bool
}

// known returns whether a host speaks HTTP/2 only, and whether that is known.
func (v *versions) known(key string) (two, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	two, ok = v.two[key]
	return two, ok
}

func (v *versions) learn(key string, two bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.two == nil || len(v.two) >= maxHosts {
		v.two = map[string]bool{}
	}
	v.two[key] = two
}

// roundTrip asks in HTTP/1.1, or in HTTP/2 a host that speaks nothing else.
func (c *client) roundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" {
		return c.transport.RoundTrip(req)
	}
	key := keyOf(req.URL)
	two, known := c.versions.known(key)
	if two {
		return c.second.RoundTrip(req)
	}
	resp, err := c.transport.RoundTrip(req)
	switch {
	case err == nil && !known:
		c.versions.learn(key, false)
	case err != nil && !known && wantsTwo(err) && req.Context().Err() == nil:
		again, err2 := c.second.RoundTrip(req)
		if err2 == nil {
			c.versions.learn(key, true)
			return again, nil
		}
	}
	return resp, err
}

// wantsTwo reports whether a server that has never answered may do so in HTTP/2: it
// refused the protocol, or hung up on the first request.
func wantsTwo(err error) bool {
	var alert tls.AlertError
	return errors.As(err, &alert) && alert == alertNoProtocol || errors.Is(err, io.EOF)
}

// checkBehindProxy holds the address rules as far as they can be held when a proxy
// connects in our place: for addresses in URLs, and for names that can be looked up
// here. What the proxy makes of a name is for the proxy.
func (c *client) checkBehindProxy(ctx context.Context, u *url.URL) error {
	if c.opt.Proxy == nil {
		return nil
	}
	port, err := netip.ParseAddrPort("0.0.0.0:" + portOf(u))
	if err != nil {
		return invalid("its port is not a number from 1 to 65535")
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		return c.guard.check(netip.AddrPortFrom(addr, port.Port()))
	}
	ctx, cancel := context.WithTimeout(ctx, proxyLookup)
	defer cancel()
	addrs, err := c.resolver().LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return nil // a name that only the proxy knows
	}
	for _, addr := range addrs {
		if err := c.guard.check(netip.AddrPortFrom(addr, port.Port())); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) resolver() *net.Resolver {
	if c.dialer.Resolver != nil {
		return c.dialer.Resolver
	}
	return net.DefaultResolver
}
