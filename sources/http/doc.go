// Package http reads images from web servers, without trusting them or the URL.
//
// Where it may connect to is decided when it connects: each address that a name
// resolved to is looked at between socket(2) and connect(2), for every attempt
// and every redirect, so that neither a name that changes its address nor a
// redirect gets around it. Loopback, private, link-local, metadata and other
// special addresses and the host's own are refused unless the operator allows
// their network. The IPv4 addresses that NAT64, 6to4, Teredo, ISATAP and their
// like put into IPv6 addresses are looked at as well. Where the operator's NAT64
// has a prefix of its own that translates to inner networks, DenyNets should
// name it. No proxy is used unless the operator names one, since it connects in our
// place: then addresses in URLs, and names that can be looked up here, are held against
// the same rules, and all else is for the proxy.
//
// A server must send at a minimum rate, over all connections of a read, and
// must not fall silent. Only the time for which somebody waits for the server
// counts: a reader may pause as long as it likes.
//
// What is wrong between here and the server is told to nobody but the operator:
// every failure to connect has one and the same message, and the detail stands
// in the error's cause. Otherwise the answers would map the inner network.
//
// A source is pinned by one request for its first byte (RFC 9110 section 14.2).
// A server that answers 206 with a length and a strong ETag, or at least a
// Last-Modified date, can be read at random: each later request asks for its
// range on the condition that the validator still holds (If-Range, section
// 13.1.5), and its answer is compared in status, range, length and validator.
// Anything else is errcode.SourceChanged. A weak ETag promises only that the
// content means the same, and is no validator for bytes (section 8.8.1).
// A server without ranges is read once, from front to end.
//
// Several URLs of one file are its places, or mirrors: replicas of a crew, each
// pinned by its own validator. A pace finds out how many ranges each of them answers
// best at one time; hosts keep the budgets of all sources together.
package http
