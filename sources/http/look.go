package http

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"golang.org/x/net/html"

	"ingest/internal/errcode"
	"ingest/sources"
)

var (
	_ sources.Looker = (*Driver)(nil)
	_ sources.Lister = (*Driver)(nil)
)

type methodKey struct{}

// methodOf is the method of the requests of a context: GET unless headOnly says HEAD.
func methodOf(ctx context.Context) string {
	if ctx.Value(methodKey{}) != nil {
		return http.MethodHead
	}
	return http.MethodGet
}

func headOnly(ctx context.Context) context.Context { return context.WithValue(ctx, methodKey{}, true) }

// Look asks the server which version it has, with HEAD. A server that does not answer
// that is asked for the first byte.
func (d *Driver) Look(ctx context.Context, ref sources.Ref) (sources.Seen, error) {
	u, err := checkURL(ref.URL)
	if err != nil {
		return sources.Seen{}, err
	}
	if d.c.opt.HTTPSOnly && u.Scheme != "https" {
		return sources.Seen{}, errcode.New(errcode.SourceScheme, "the operator takes sources from https only")
	}
	auth, u, err := d.newLogin(ref, u)
	if err != nil {
		return sources.Seen{}, err
	}
	ctx = auth.with(ctx)
	var a *answer
	err = d.c.attempt(ctx, func() error {
		var err error
		if a, err = d.c.get(headOnly(ctx), u, nil, nil); err == nil {
			a.body.Close()
		}
		return err
	})
	if err == nil && a.StatusCode == http.StatusOK {
		return seenOf(a, a.ContentLength), nil
	}
	if err != nil && !headless(err) {
		return sources.Seen{}, err
	}
	pin, a, err := d.c.probe(ctx, u)
	if err != nil {
		return sources.Seen{}, err
	}
	return seenOf(a, pin.Size), nil
}

// headless reports whether a server may only have refused the method: URLs that are
// signed for GET are refused like those that are not allowed.
func headless(err error) bool {
	var refused *notOK
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.code {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

func seenOf(a *answer, size int64) sources.Seen {
	t := traceOf(a)
	seen := sources.Seen{URL: t.URL, Size: size, ETag: t.ETag}
	if _, err := http.ParseTime(t.LastModified); err == nil {
		seen.LastModified = t.LastModified
	}
	return seen
}

// List reads the page that a web server makes of a folder, and takes of its links those
// that lead to files of that folder. A link elsewhere is none, whatever it is called.
func (d *Driver) List(ctx context.Context, ref sources.Ref) ([]sources.Listed, error) {
	u, err := checkURL(ref.URL)
	if err != nil {
		return nil, err
	}
	folder := *u
	folder.Path, folder.RawPath = parent(u.Path), parent(u.RawPath)
	page := ref
	page.URL = folder.String()
	src, err := d.Open(ctx, page, nil)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	body, err := src.Stream(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return links(io.LimitReader(body, sources.MaxIndexBytes+1), &folder, path.Base(u.Path))
}

// parent is a path up to its last slash.
func parent(p string) string { return p[:strings.LastIndexByte(p, '/')+1] }

// links reads the links of a page that lead to files of the folder, and fit.
func links(page io.Reader, folder *url.URL, pattern string) ([]sources.Listed, error) {
	counted := &tally{r: page}
	z := html.NewTokenizer(counted)
	z.SetMaxBuf(64 << 10)
	var out []sources.Listed
	known := map[string]bool{}
	for {
		switch z.Next() {
		case html.ErrorToken:
			if counted.n > sources.MaxIndexBytes {
				return nil, errcode.New(errcode.SourceTooLarge, "the page that lists the folder has more than %d bytes", sources.MaxIndexBytes)
			}
			if err := z.Err(); err != io.EOF {
				if errors.Is(err, html.ErrBufferExceeded) {
					return nil, errcode.New(errcode.SourceTooLarge, "the page that lists the folder has a tag of more than 64 KiB")
				}
				return nil, err
			}
			return out, nil
		case html.StartTagToken, html.SelfClosingTagToken:
			name, to := linkOf(z, folder)
			if name == "" || known[name] || !sources.Fits(pattern, name) {
				continue
			}
			if len(out) == sources.MaxListed {
				return nil, sources.TooManyListed()
			}
			known[name] = true
			out = append(out, sources.Listed{Name: name, URL: to})
		}
	}
}

// linkOf returns the file of the folder that a tag links to, "" if there is none.
func linkOf(z *html.Tokenizer, folder *url.URL) (name, to string) {
	tag, more := z.TagName()
	if len(tag) != 1 || tag[0] != 'a' {
		return "", ""
	}
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		if string(key) != "href" || len(value) > maxURL {
			continue
		}
		u, err := folder.Parse(string(value))
		if err != nil || u.Scheme != folder.Scheme || u.Host != folder.Host || u.User != nil || parent(u.Path) != folder.Path {
			return "", ""
		}
		name := path.Base(u.Path)
		if strings.HasSuffix(u.Path, "/") || len(name) > 255 || !legible(name) {
			return "", ""
		}
		u.RawQuery, u.Fragment, u.RawFragment = folder.RawQuery, "", ""
		return name, u.String()
	}
	return "", ""
}

// A tally counts what is read.
type tally struct {
	r io.Reader
	n int64
}

func (c *tally) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
