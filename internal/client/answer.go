package client

import (
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"regexp"
	"strings"

	"ingest/api/wire"
	"ingest/internal/errcode"
)

// ErrNotIngest says that a server is an image service and has none of ingest's own
// routes.
var ErrNotIngest = errors.New("no ingest server")

// judged returns an answer that is no error, or the error that it is.
func (c *Client) judged(resp *http.Response) (*http.Response, error) {
	if resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.Header.Get("Location") != "" {
		resp.Body.Close()
		return nil, errcode.New(errcode.Internal, "%s sends the request to another server, which is not followed", c.base)
	}
	ours := strings.HasPrefix(resp.Request.URL.Path, c.prefix+"/v1/")
	// Glance answers a version that it does not know with the list of those it does.
	if resp.StatusCode == http.StatusMultipleChoices && ours {
		resp.Body.Close()
		return nil, c.notOurs(resp)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var e wire.ErrorBody
	if json.Unmarshal(raw, &e) == nil && e.Error.Code != "" {
		out := errcode.New(e.Error.Code, "%s", e.Error.Message)
		if e.Error.Evidence != nil {
			out = out.With(*e.Error.Evidence)
		}
		return nil, out
	}
	code, ok := codes[resp.StatusCode]
	switch {
	case ours && resp.StatusCode == http.StatusNotFound:
		return nil, c.notOurs(resp)
	case !ok:
		return nil, c.stranger(resp)
	}
	return nil, errcode.New(code, "%s", said(resp, raw))
}

// codes are the meanings of Glance's statuses.
var codes = map[int]errcode.Code{
	http.StatusBadRequest: errcode.BadRequest, http.StatusUnauthorized: errcode.Unauthenticated, http.StatusForbidden: errcode.Forbidden,
	http.StatusNotFound: errcode.NotFound, http.StatusMethodNotAllowed: errcode.MethodNotAllowed, http.StatusConflict: errcode.Conflict,
	http.StatusGone: errcode.Gone, http.StatusRequestEntityTooLarge: errcode.QuotaExceeded, http.StatusUnsupportedMediaType: errcode.MediaType,
	http.StatusRequestedRangeNotSatisfiable: errcode.RangeInvalid, http.StatusTooManyRequests: errcode.TooManyRequests,
	http.StatusBadGateway: errcode.ServerUnreachable, http.StatusServiceUnavailable: errcode.ServerUnreachable, http.StatusGatewayTimeout: errcode.ServerUnreachable,
}

var (
	head = regexp.MustCompile(`(?is)<(head|title|h1|style|script)\b.*?</(head|title|h1|style|script)>`)
	tag  = regexp.MustCompile(`(?s)<[^>]*>`)
)

// maxSaid bounds what is told of an answer, bytes.
const maxSaid = 600

// said is what Glance says of a failure, in JSON or in HTML, or the status alone.
func said(resp *http.Response, raw []byte) string {
	var e struct {
		Message string `json:"message"`
	}
	text := ""
	switch {
	case json.Unmarshal(raw, &e) == nil:
		text = e.Message
	case strings.Contains(resp.Header.Get("Content-Type"), "html"):
		text = tag.ReplaceAllString(head.ReplaceAllString(string(raw), " "), " ")
	case strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain"):
		text = strings.TrimPrefix(string(raw), resp.Status)
	}
	text = html.UnescapeString(tag.ReplaceAllString(text, " "))
	text = strings.Join(strings.Fields(text), " ")
	if text == "" {
		return "the server answers " + resp.Status
	}
	return strings.ToValidUTF8(text[:min(len(text), maxSaid)], "")
}
