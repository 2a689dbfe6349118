package http

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"ingest/internal/errcode"
	"ingest/sources"
)

func TestCheckURL(t *testing.T) {
	for _, raw := range []string{
		"http://example.com/a.img", "https://example.com:8443/a?b=c&d=%20", "http://EXAMPLE.com", "http://a_b.example.com/",
		"http://93.184.216.34/x", "http://[2606:2800:220:1::1]:80/x", "http://xn--bcher-kva.example/", "http://127.0.0.1/", "http://localhost/",
		"http://[::ffff:127.0.0.1]/", "http://1password.com/", "http://example.com/\u00e9",
	} {
		if _, err := checkURL(raw); err != nil {
			t.Errorf("checkURL(%q): %v", raw, err)
		}
	}
	for _, raw := range []string{
		"http://", "http:///x", "http:x", "http://user@example.com/", "http://user:secret@example.com/", "http://@example.com/",
		"http://example.com/#f", "http://example.com/#", "http://example.com/a b", "http://example.com/a\\b", "http://example.com\\@evil.com/",
		"http://example.com/\r\nHost: x", "http://example.com/\x00", "http://example.com/\x7f", "http://example.com/\u0085", "http://example.com/\u202egmi", "http://example.com/\u200b", "http://example.com/\u2028", "http://example.com/\u00a0", "http://example.com/\xff", "http://example.com\t/", "http://exam%70le.com/", "http://ex%61mple.com/",
		"http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://127.1/", "http://0177.0.0.1/", "http://017700000001/",
		"http://127.0.0.01/", "http://127.0.0.1./", "http://example.com./", "http://.example.com/", "http://a..b/", "http://1.2.3.4.5/", "http://foo.0x1/",
		"http://[fe80::1%25eth0]/", "http://[::1%25lo]/", "http://[127.0.0.1]/", "http://[::1/", "http://[::1]x/", "http://[v1.fe]/",
		"http://\u2460\u2461\u2466.0.0.1/", "http://127\u30020.0.1/", "http://b\u00fccher.example/", "http://\uff11\uff12\uff17.0.0.1/",
		"http://example.com:/", "http://example.com:0/", "http://example.com:65536/", "http://example.com:080/", "http://example.com:-1/", "http://example.com:http/",
		"http://" + strings.Repeat("a", 64) + ".com/", "http://" + strings.Repeat("a.", 127) + "com/", "http://example.com/" + strings.Repeat("a", maxURL),
		"http://exa$mple.com/", "http://a,b/", "http://a;b/",
	} {
		if u, err := checkURL(raw); errcode.Of(err) != errcode.SourceURLInvalid {
			t.Errorf("checkURL(%q) = %v, %v; want %s", raw, u, err, errcode.SourceURLInvalid)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("checkURL(%q) tells the secret: %v", raw, err)
		}
	}
	for _, raw := range []string{"ftp://example.com/", "gopher://example.com/", "file:///etc/passwd", "//example.com/x", "/x", "javascript://example.com/"} {
		if _, err := checkURL(raw); errcode.Of(err) != errcode.SourceScheme {
			t.Errorf("checkURL(%q): %v, want %s", raw, err, errcode.SourceScheme)
		}
	}
}

// blockedAddrs holds the first, an inner and the last address of every blocked
// network, and the famous ones.
func blockedAddrs() []string {
	return []string{
		"0.0.0.0", "0.1.2.3", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.100.100.200", "100.127.255.255",
		"127.0.0.0", "127.0.0.1", "127.255.255.255", "168.63.129.16", "169.254.0.0", "169.254.169.254", "169.254.255.255",
		"172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.192", "192.0.0.255", "192.0.2.0", "192.0.2.255", "192.88.99.1",
		"192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.0", "198.51.100.255", "203.0.113.0", "203.0.113.255",
		"224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.254", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::a9fe:a9fe", "::ffff:0:0", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.1.2.3", "::ffff:0:127.0.0.1",
		"64:ff9b::127.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::1", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "100::", "100::ffff:ffff:ffff:ffff", "100:0:0:1::1", "1000::1", "1fff::1", "4000::", "7fff::1", "8000::", "fbff::1",
		"2001::", "2001:0:4136:e378::1", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8::", "2001:db8:ffff::1",
		"2002::", "2002:7f00:1::", "2002:ffff::1", "3fff::1", "3fff:fff::1", "5f00::1", "fc00::", "fd00:ec2::254", "fdff::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "feff::1", "ff02::1", "ffff::1",
	}
}

func TestGuard(t *testing.T) {
	port := func(s string, p uint16) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(s), p) }
	own := func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.IPv4(93, 184, 216, 99), Mask: net.CIDRMask(24, 32)}, &net.IPNet{IP: net.ParseIP("2606:2800::99"), Mask: net.CIDRMask(64, 128)}}, nil
	}
	strict := newGuard(Options{}.withDefaults())
	strict.own = own
	for _, a := range append(blockedAddrs(), "93.184.216.99", "2606:2800::99", "::ffff:93.184.216.99") {
		if err := strict.check(port(a, 80)); errcode.Of(err) != errcode.SourceAddrBlocked {
			t.Errorf("%s: %v, want it blocked", a, err)
		} else if strings.Contains(err.Error(), a) {
			t.Errorf("%s: the message tells the address: %v", a, err)
		}
	}
	for _, a := range []string{
		"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "168.63.129.15", "169.253.255.255", "169.255.0.0",
		"172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "93.184.216.34", "::ffff:1.1.1.1",
		"2606:2800:220:1::1", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2a00::1",
	} {
		for _, p := range []uint16{80, 443} {
			if err := strict.check(port(a, p)); err != nil {
				t.Errorf("%s port %d: %v (%v), want it allowed", a, p, err, errors.Unwrap(err))
			}
		}
		for _, p := range []uint16{1, 22, 25, 79, 81, 442, 444, 3306, 6379, 8080} {
			if err := strict.check(port(a, p)); errcode.Of(err) != errcode.SourceAddrBlocked {
				t.Errorf("%s port %d: %v, want it blocked", a, p, err)
			}
		}
	}
	loose := newGuard(Options{
		AllowNets: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/16"), netip.MustParsePrefix("::ffff:192.168.7.0/120"), netip.MustParsePrefix("fd00::/8")},
		DenyNets:  []netip.Prefix{netip.MustParsePrefix("10.1.99.0/24"), netip.MustParsePrefix("1.1.1.1/32")},
	}.withDefaults())
	for a, want := range map[string]errcode.Code{
		"10.1.255.1": "", "::ffff:10.1.0.1": "", "192.168.7.9": "", "fd12::1": "",
		"10.2.0.1": errcode.SourceAddrBlocked, "10.1.99.5": errcode.SourceAddrBlocked, "::ffff:10.1.99.5": errcode.SourceAddrBlocked,
		"192.168.8.1": errcode.SourceAddrBlocked, "1.1.1.1": errcode.SourceAddrBlocked, "8.8.8.8": errcode.SourceAddrBlocked,
	} {
		if err := loose.check(port(a, 9999)); errcode.Of(err) != want {
			t.Errorf("%s with networks allowed and denied: %v, want %q", a, err, want)
		}
	}
	ports := newGuard(Options{AllowNets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Ports: []uint16{9999}}.withDefaults())
	for a, want := range map[string]errcode.Code{
		"10.0.0.1:9999": "", "8.8.8.8:9999": "", "10.0.0.1:80": errcode.SourceAddrBlocked, "8.8.8.8:80": errcode.SourceAddrBlocked, "8.8.8.8:10000": errcode.SourceAddrBlocked, "8.8.8.8:9998": errcode.SourceAddrBlocked,
	} {
		if err := ports.check(netip.MustParseAddrPort(a)); errcode.Of(err) != want {
			t.Errorf("%s with one port: %v, want %q", a, err, want)
		}
	}
	for _, a := range []string{"", "example.com:80", "/run/x.sock"} {
		if err := strict.control(t.Context(), "tcp4", a, nil); errcode.Of(err) != errcode.SourceAddrBlocked {
			t.Errorf("control(%q): %v", a, err)
		}
	}
	if err := strict.control(t.Context(), "unix", "1.1.1.1:80", nil); errcode.Of(err) != errcode.SourceAddrBlocked {
		t.Errorf("control of a socket that is not TCP: %v", err)
	}
}

// TestOpenBlocked goes the whole way from the URL to the refused connection.
func TestOpenBlocked(t *testing.T) {
	d := New(Options{Retries: -1})
	for _, host := range append(blockedAddrs(), "localhost") {
		if strings.Contains(host, "%") {
			continue // a zone is no URL
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		_, err := d.Open(t.Context(), sources.Ref{URL: "http://" + host + "/latest/meta-data/"}, nil)
		if errcode.Of(err) != errcode.SourceAddrBlocked {
			t.Errorf("Open on %s: %v (%v), want %s", host, err, errors.Unwrap(err), errcode.SourceAddrBlocked)
		}
	}
	for _, host := range []string{"2130706433", "0x7f.1", "017700000001", "127.1", "user@127.0.0.1"} {
		_, err := d.Open(t.Context(), sources.Ref{URL: "http://" + host + "/"}, nil)
		if errcode.Of(err) != errcode.SourceURLInvalid {
			t.Errorf("Open on %s: %v, want %s", host, err, errcode.SourceURLInvalid)
		}
	}
}

// TestRedirectBlocked shows that each hop is decided on by itself.
func TestRedirectBlocked(t *testing.T) {
	w := newWeb(t, []byte("content"))
	opt := testOptions()
	opt.AllowNets = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	port := w.url[strings.LastIndex(w.url, ":"):]
	for location, want := range map[string]errcode.Code{
		"http://127.0.0.2" + port + "/":   errcode.SourceAddrBlocked,
		"http://169.254.169.254/":         errcode.SourceAddrBlocked,
		"http://[::1]" + port + "/":       errcode.SourceAddrBlocked,
		"//10.0.0.1/":                     errcode.SourceAddrBlocked,
		"http://2130706433" + port:        errcode.SourceRedirect,
		"http://u:p@127.0.0.1" + port:     errcode.SourceRedirect,
		"file:///etc/passwd":              errcode.SourceRedirect,
		"ftp://127.0.0.1/":                errcode.SourceRedirect,
		"":                                errcode.SourceRedirect,
		"http://%zz/":                     errcode.SourceRedirect,
		"http://127.1" + port:             errcode.SourceRedirect,
		"http://0x7f000001" + port:        errcode.SourceRedirect,
		"http://127.0.0.1." + port:        errcode.SourceRedirect,
		"http:\\\\127.0.0.1" + port:       errcode.SourceRedirect,
		"/a\\b":                           errcode.SourceRedirect,
		"/a b":                            errcode.SourceRedirect,
		"/\xff":                           errcode.SourceRedirect,
		"/" + strings.Repeat("a", maxURL): errcode.SourceRedirect,
		"/again":                          errcode.SourceRedirect, // for ever
	} {
		w.set(func() {
			w.handle = func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Location", location)
				rw.WriteHeader(http.StatusFound)
			}
		})
		before := len(w.asked("Range"))
		_, err := New(opt).Open(t.Context(), sources.Ref{URL: w.url + "/"}, nil)
		if errcode.Of(err) != want {
			t.Errorf("redirect to %q: %v (%v), want %s", location, err, errors.Unwrap(err), want)
		}
		if n := len(w.asked("Range")) - before; n != 1 && location != "/again" {
			t.Errorf("redirect to %q: %d requests, want one", location, n)
		}
	}
	w.set(func() {
		w.handle = func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				rw.Header()["Location"] = []string{"/there", "http://169.254.169.254/"}
				rw.WriteHeader(http.StatusFound)
			}
		}
	})
	_, err := New(opt).Open(t.Context(), sources.Ref{URL: w.url + "/"}, nil)
	wantCode(t, "redirect to two places", err, errcode.SourceRedirect)
}
