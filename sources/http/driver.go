package http

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"ingest/internal/errcode"
	"ingest/sources"
)

// Name is the driver's name in a pin.
const Name = "http"

// A Driver opens http and https URLs.
type Driver struct {
	c *client
	// trusted connects to whatever the operator has not denied.
	trusted *client
}

var _ sources.Driver = (*Driver)(nil)

// New returns a driver with the given options.
func New(o Options) *Driver {
	c := newClient(o.withDefaults())
	return &Driver{c: c, trusted: c.trusting()}
}

// Name returns "http".
func (d *Driver) Name() string { return Name }

// Schemes returns the two schemes.
func (d *Driver) Schemes() []string { return []string{"http", "https"} }

// Open asks the server for the first byte and pins what it learns.
func (d *Driver) Open(ctx context.Context, ref sources.Ref, pin *sources.Pin) (sources.Source, error) {
	u, err := checkURL(ref.URL)
	if err != nil {
		return nil, err
	}
	if d.c.opt.HTTPSOnly && u.Scheme != "https" {
		return nil, errcode.New(errcode.SourceScheme, "the operator takes sources from https only")
	}
	auth, u, err := d.newLogin(ref, u)
	if err != nil {
		return nil, err
	}
	if len(ref.Mirrors) > 0 || pin != nil && pin.Mirrors != "" {
		return d.openMirrored(ctx, ref, pin)
	}
	got, a, err := d.c.probe(auth.with(ctx), u)
	if err != nil {
		return nil, err
	}
	got.URL = ref.URL
	if pin != nil {
		if err := matches(pin, got); err != nil {
			return nil, err
		}
	}
	if got.Size > d.c.opt.MaxBytes {
		return nil, tooLarge(d.c.opt.MaxBytes)
	}
	only := &replica{orig: u, at: a.url, pin: *got, shown: u.Host, auth: auth}
	return newSource(d.c, newCrew([]*replica{only}, d.c.opt.Parallel), a, *got), nil
}

// probe asks for the first byte of u and returns what pins it, and the answer, of
// which the body is closed.
func (c *client) probe(ctx context.Context, u *url.URL) (pin *sources.Pin, from *answer, err error) {
	err = c.attempt(ctx, func() error {
		a, err := c.get(ctx, u, map[string]string{"Range": "bytes=0-0"}, nil)
		if err != nil {
			return err
		}
		defer a.body.Close()
		from = a
		if pin, err = pinOf(a.Response); err == nil && a.StatusCode == http.StatusPartialContent {
			// Read to its end the one byte leaves the connection to the next request.
			_, err = io.Copy(io.Discard, io.LimitReader(a.body, 2))
		}
		return err
	})
	return pin, from, err
}

// pinOf reads the answer to a request for the first byte.
func pinOf(resp *http.Response) (*sources.Pin, error) {
	pin := &sources.Pin{Driver: Name, Size: -1}
	pin.Validator, pin.Strong = validator(resp.Header)
	switch resp.StatusCode {
	case http.StatusOK:
		pin.Size = resp.ContentLength
		return pin, nil
	case http.StatusPartialContent:
		cr, ok := parseContentRange(resp.Header)
		if !ok || cr.first != 0 || cr.last != 0 || cr.total == 0 {
			return nil, errcode.New(errcode.SourceUnreachable, "the server answers a request for a range with another range")
		}
		pin.Size = cr.total
		pin.Random = cr.total > 0 && pin.Validator != ""
		return pin, nil
	case http.StatusRequestedRangeNotSatisfiable:
		// There is no first byte to ask for.
		if cr, ok := parseContentRange(resp.Header); ok && cr.first < 0 && cr.total == 0 {
			pin.Size = 0
			return pin, nil
		}
	}
	return nil, statusError(resp)
}

func matches(want, got *sources.Pin) error {
	switch {
	case want.Validator != got.Validator:
		return sources.Changed("validator", got.Validator, want.Validator)
	case want.Size != got.Size:
		return sources.Changed("length", strconv.FormatInt(got.Size, 10), strconv.FormatInt(want.Size, 10))
	case want.Random && !got.Random:
		return sources.Changed("ranges", "refused", "served")
	}
	return nil
}

// validator returns the strong ETag, else the date of the last change, else "".
func validator(h http.Header) (v string, strong bool) {
	if etag := h.Get("ETag"); isStrong(etag) {
		return etag, true
	}
	if date := h.Get("Last-Modified"); date != "" && len(date) <= maxValidator {
		if _, err := http.ParseTime(date); err == nil {
			return date, false
		}
	}
	return "", false
}

// isStrong reports whether s is a strong entity tag, RFC 9110 section 8.8.3. One
// that is not ASCII would not survive JSON, in which pins travel.
func isStrong(s string) bool {
	if len(s) < 2 || len(s) > maxValidator || s[0] != '"' || s[len(s)-1] != '"' {
		return false
	}
	for _, c := range []byte(s[1 : len(s)-1]) {
		if c <= ' ' || c == '"' || c >= 0x7f {
			return false
		}
	}
	return true
}

// contentRange is the Content-Range of an answer, RFC 9110 section 14.4.
type contentRange struct {
	first, last int64 // -1 if the range could not be satisfied
	total       int64 // -1 if unknown
}

func parseContentRange(h http.Header) (contentRange, bool) {
	cr := contentRange{first: -1, last: -1, total: -1}
	values := h.Values("Content-Range")
	if len(values) != 1 {
		return cr, false
	}
	unit, rest, _ := strings.Cut(values[0], " ")
	span, total, ok := strings.Cut(rest, "/")
	if !strings.EqualFold(unit, "bytes") || !ok {
		return cr, false
	}
	if total != "*" {
		if cr.total, ok = parseDigits(total); !ok {
			return cr, false
		}
	}
	if span == "*" {
		return cr, cr.total >= 0
	}
	first, last, ok := strings.Cut(span, "-")
	if !ok {
		return cr, false
	}
	var ok1, ok2 bool
	cr.first, ok1 = parseDigits(first)
	cr.last, ok2 = parseDigits(last)
	return cr, ok1 && ok2 && cr.first <= cr.last && (cr.total < 0 || cr.last < cr.total)
}

func parseDigits(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

func tooLarge(limit int64) error {
	return errcode.New(errcode.SourceTooLarge, "the source has more than %d bytes", limit).
		With(errcode.Evidence{Structure: "source", Field: "length", Limit: strconv.FormatInt(limit, 10)})
}
