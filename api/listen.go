package api

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"ingest/internal/bulk"
	"ingest/internal/errcode"
)

// Bounds of what one connection may take. The bytes of images have bounds of their own,
// which go by progress.
const (
	// HeaderTime is in which the head of a request has to come, BodyTime in which its JSON
	// has to, and AnswerTime in which a client has to take an answer of JSON.
	HeaderTime = 10 * time.Second
	BodyTime   = 30 * time.Second
	AnswerTime = time.Minute
	// IdleTime is how long a connection is kept open for another request.
	IdleTime = 2 * time.Minute
	// MaxHeader is how long the head of a request may be, bytes: a token of Keystone with
	// its whole catalog fits.
	MaxHeader = 64 << 10
)

// NewServer returns a server for a handler of New, with all bounds set. The caller says
// where it listens.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: HeaderTime, IdleTimeout: IdleTime, MaxHeaderBytes: MaxHeader}
}

// A timedBody is a body that has to come in time. It lets go of the connection's deadline
// at its end: behind it the connection is watched for the client's going, and that may
// take as long as the answer does.
type timedBody struct {
	io.ReadCloser
	conn *http.ResponseController
}

// timed bounds the time that a request's JSON may take.
func (a *api) timed(w http.ResponseWriter, r *http.Request) io.ReadCloser {
	conn := http.NewResponseController(w)
	if r.Body == nil || r.Body == http.NoBody {
		return http.NoBody
	}
	longest := a.BodyTime
	if longest == 0 {
		longest = BodyTime
	}
	_ = conn.SetReadDeadline(time.Now().Add(longest))
	most := int64(MaxBody)
	if takesManifest(r) {
		most = bulk.MaxBytes
	}
	return timedBody{http.MaxBytesReader(w, r.Body, most), conn}
}

func (b timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}

// tooSlow is the answer to whose body did not come in time.
func tooSlow(err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return withStatus(http.StatusRequestTimeout, badField("body", "", "the body did not come in time"))
}

// checkURL refuses what no name can hold: databases differ in what they make of it.
func checkURL(u *url.URL) error {
	if !strings.HasPrefix(u.Path, "/") { // that of CONNECT, which is a proxy's
		return errcode.New(errcode.NotFound, "there is no path %q", u.Path)
	}
	if strings.ContainsRune(u.Path, 0) || !utf8.ValidString(u.Path) {
		return badField("path", strings.ToValidUTF8(u.Path, "\uFFFD"), "a path is text")
	}
	plain, err := url.QueryUnescape(u.RawQuery)
	if err == nil && (strings.ContainsRune(plain, 0) || !utf8.ValidString(plain)) {
		return badField("query", "", "a query is text")
	}
	return nil
}
