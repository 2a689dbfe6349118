package sources

import (
	"net/url"
	"strings"
)

// MaxRedirects is how many redirects a Trace lists: more than drivers follow.
const MaxRedirects = 32

// MaxOther bounds a URL of Trace.Others, bytes: there may be a hundred of them.
const MaxOther = 1 << 10

// A Trace says where a source was when it was pinned, for the record of where an
// image's bytes come from. Two openings of one version may differ in it, so that it
// is no part of the Pin. It holds no secret: URLs have neither user nor query.
type Trace struct {
	URL          string   // behind all redirects
	Redirects    []string // where each one led, in their order; the last one is URL
	Address      string   // host:port of the connection that answered, "" if there was none
	ETag         string   // as the server gave it, also a weak one; "" if it gave none
	LastModified string   // likewise, as HTTP writes dates
	Version      string   // of the object, where the source keeps several
	// Others are the URLs of a source's other places that are read too, and those to
	// which their redirects led, each cut to MaxOther bytes.
	Others []string
}

// Traced is an ability of sources that know where they are.
type Traced interface{ Trace() Trace }

// A Wrapper is a source around another one, which it leaves to tell where it is.
type Wrapper interface{ Unwrap() Source }

// TraceOf returns a source's trace, or that of the source within it; false if
// there is none.
func TraceOf(s Source) (Trace, bool) {
	for {
		switch t := s.(type) {
		case Traced:
			return t.Trace(), true
		case Wrapper:
			s = t.Unwrap()
		default:
			return Trace{}, false
		}
	}
}

// PublicURL returns u without what may be secret in it: user, query and fragment.
func PublicURL(u *url.URL) string {
	bare := url.URL{Scheme: strings.ToLower(u.Scheme), Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return bare.String()
}
