package http

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// names is a resolver whose answers a test gives: all of one name's addresses,
// for the lookups counted from 1.
type names func(name string, lookup int) []netip.Addr

// use makes the driver ask the names instead of the system's servers. DNS runs
// over net.Pipe, so that no packet leaves the process.
func (n names) use(d *Driver) {
	var mu sync.Mutex
	seen := map[string]int{}
	serve := func(c net.Conn) {
		defer c.Close()
		for {
			name, kind, query, err := readQuery(c)
			if err != nil {
				return
			}
			mu.Lock()
			key := name + kind
			seen[key]++
			addrs := n(name, seen[key])
			mu.Unlock()
			addrs = slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return a.Is4() != (kind == "A") })
			if _, err := c.Write(dnsAnswer(query, addrs)); err != nil {
				return
			}
		}
	}
	d.c.dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		a, b := net.Pipe()
		go serve(b)
		return a, nil
	}}
}

// readQuery reads a DNS query over a stream, RFC 1035 sections 4.1 and 4.2.2.
// query is its header and question.
func readQuery(r io.Reader) (name, kind string, query []byte, err error) {
	var size [2]byte
	if _, err = io.ReadFull(r, size[:]); err != nil {
		return "", "", nil, err
	}
	query = make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err = io.ReadFull(r, query); err != nil {
		return "", "", nil, err
	}
	i := 12
	for i < len(query) && query[i] != 0 {
		n := int(query[i])
		name += string(query[i+1:i+1+n]) + "."
		i += 1 + n
	}
	kind = map[uint16]string{1: "A", 28: "AAAA"}[binary.BigEndian.Uint16(query[i+1:])]
	if kind == "" {
		return "", "", nil, errors.New("a query for what is no address")
	}
	return strings.TrimSuffix(name, "."), kind, query[:i+5], nil
}

// dnsAnswer returns a whole answer, with the two bytes of its length in front.
func dnsAnswer(query []byte, addrs []netip.Addr) []byte {
	msg := slices.Clone(query)
	copy(msg[2:], []byte{0x81, 0x80, 0, 1, 0, byte(len(addrs)), 0, 0, 0, 0})
	for _, a := range addrs {
		kind := byte(28)
		if a.Is4() {
			kind = 1
		}
		b := a.AsSlice()
		msg = append(msg, 0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, byte(len(b)))
		msg = append(msg, b...)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
}

// trap counts the connections to an address that nobody may connect to. It
// returns the address with its port.
func trap(t *testing.T, address string) (hits *atomic.Int32, at string) {
	t.Helper()
	hits = new(atomic.Int32)
	l, err := net.Listen("tcp", address)
	if err != nil && strings.HasPrefix(address, "[") {
		t.Logf("no trap on %s, as on a host without IPv6: %v", address, err)
		return hits, address
	}
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			hits.Add(1)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return hits, l.Addr().String()
}

// raw serves connections by hand: answer is called for each request and writes
// what it likes. The connection ends when it returns false.
func raw(t *testing.T, answer func(c net.Conn, r *http.Request) bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveRaw(c, answer)
		}
	}()
	return "http://" + l.Addr().String()
}

func serveRaw(c net.Conn, answer func(c net.Conn, r *http.Request) bool) {
	defer c.Close()
	br := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(br)
		if err != nil || !answer(c, r) {
			return
		}
	}
}

// pipes makes the driver connect to the answers without a network: in a
// synctest bubble, all waits then take no time.
func pipes(t *testing.T, o Options, answer func(c net.Conn, r *http.Request) bool) *Driver {
	d := New(o)
	var served sync.WaitGroup
	t.Cleanup(served.Wait) // a bubble ends with its last goroutine
	d.c.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		a, b := net.Pipe()
		served.Go(func() { serveRaw(b, answer) })
		return a, nil
	}
	t.Cleanup(d.c.transport.CloseIdleConnections)
	return d
}

// always returns an answer that is the same text each time.
func always(text string) func(net.Conn, *http.Request) bool {
	return func(c net.Conn, _ *http.Request) bool {
		io.WriteString(c, text)
		return false
	}
}

// quiet takes what a server says of clients that give it up.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// causes returns the texts of an error and of all that it wraps.
func causes(err error) string {
	var out []string
	for ; err != nil; err = errors.Unwrap(err) {
		out = append(out, err.Error())
	}
	return strings.Join(out, ": ")
}
