package http

import "net/netip"

// carried returns the IPv4 addresses that stand within an IPv6 address, and to
// which a translator or the end of a tunnel would send what is sent to it. What
// can be read in several ways yields all of them.
func carried(addr netip.Addr) []netip.Addr {
	if !addr.Is6() {
		return nil
	}
	b := addr.As16()
	v4 := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(b[i : i+4])) }
	in := func(prefix string) bool { return netip.MustParsePrefix(prefix).Contains(addr) }
	switch {
	case in("64:ff9b::/96"), // NAT64, RFC 6052 section 2.1
		in("::ffff:0:0:0/96"): // SIIT, RFC 2765 section 2.1
		return []netip.Addr{v4(12)}
	case in("64:ff9b:1::/48"): // NAT64 with prefixes of the operator's choice, RFC 8215
		return carriedNAT64(b)
	case in("2002::/16"): // 6to4, RFC 3056 section 2
		return []netip.Addr{v4(2)}
	case in("2001::/32"): // Teredo's server, and its client with all bits turned, RFC 4380 section 4
		return []netip.Addr{v4(4), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	case in("::/96"): // IPv4-compatible, RFC 4291 section 2.5.5.1; :: and ::1 are not
		if b[12] != 0 {
			return []netip.Addr{v4(12)}
		}
	case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP, RFC 5214 section 6.1
		return []netip.Addr{v4(12)}
	}
	return nil
}

// carriedNAT64 reads an address below a prefix of 96, 64, 56 or 48 bits, RFC
// 6052 section 2.2. Behind the shorter ones the address goes around octet 8,
// and zeros follow it; which of them is meant does not show.
func carriedNAT64(b [16]byte) []netip.Addr {
	if b[13] != 0 || b[14] != 0 || b[15] != 0 {
		return []netip.Addr{netip.AddrFrom4([4]byte(b[12:]))}
	}
	out := []netip.Addr{netip.AddrFrom4([4]byte(b[9:13]))}
	if b[12] == 0 {
		out = append(out, netip.AddrFrom4([4]byte{b[7], b[9], b[10], b[11]}))
	}
	if b[11] == 0 && b[12] == 0 {
		out = append(out, netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]}))
	}
	return out
}
