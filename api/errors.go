package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ingest/api/wire"
	"ingest/internal/errcode"
)

// A statusError is an error that is answered with another status than the one
// that its code has in general.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

func withStatus(status int, err error) error { return &statusError{status, err} }

// answer turns a handler into an http.HandlerFunc that answers its errors.
func (a *api) answer(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			a.fail(w, r, err)
		}
	}
}

// fail answers with an error. The text of an error without a code stays in the
// log.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	detail, status := describe(err)
	// A client that has gone makes every step fail; that is not the server's.
	if status >= 500 && r.Context().Err() == nil {
		var cause error
		if e, ok := errcode.As(err); ok {
			cause = e.Unwrap()
		}
		a.Log.Error().Err(err).AnErr("cause", cause).Str("request_id", requestID(r.Context())).
			Str("method", r.Method).Str("path", r.URL.Path).Msg("request failed")
	}
	later := status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests
	if later && errcode.Lookup(detail.Code).Retryable && w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", "5")
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", a.Identity.Challenge())
	}
	title := http.StatusText(status)
	if strings.HasPrefix(r.UserAgent(), glanceClient) {
		writePage(w, status, title, detail)
		return
	}
	writeJSON(w, status, wire.ErrorBody{
		Message: detail.Message,
		Code:    strconv.Itoa(status) + " " + title,
		Title:   title,
		Error:   detail,
	})
}

// glanceClient is how the glance command names itself. It takes every member of an answer
// of JSON for an object, and fails over Glance's own; of a page it shows the text.
const glanceClient = "python-glanceclient"

// writePage answers with an error as a page.
func writePage(w http.ResponseWriter, status int, title string, detail wire.ErrorDetail) {
	text := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	page := fmt.Sprintf("<html>\n<head><title>%d %s</title></head>\n<body>\n<h1>%d %s</h1>\n%s\n%s (%s)\n</body>\n</html>\n",
		status, title, status, title, text.Replace(detail.Message), text.Replace(detail.Remedy), detail.Code)
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(page)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, page)
}

func describe(err error) (wire.ErrorDetail, int) {
	d := errcode.Lookup(errcode.Of(err))
	out := wire.ErrorDetail{Code: d.Code, Message: d.Meaning, Remedy: d.Remedy}
	if e, ok := errcode.As(err); ok {
		out.Message, out.Evidence = e.Message, e.Evidence
	}
	status := d.HTTPStatus
	var se *statusError
	if errors.As(err, &se) {
		status = se.status
	}
	return out, status
}

// badField says which member of a request is wrong, and why.
func badField(field, value, format string, args ...any) error {
	return fieldError(errcode.BadRequest, field, value, format, args...)
}

// fieldError is badField with a more telling code.
func fieldError(code errcode.Code, field, value, format string, args ...any) error {
	const most = 128 // bytes of the value that are shown
	if len(value) > most {
		value = value[:most] + "…"
	}
	e := errcode.New(code, "%s: %s", field, fmt.Sprintf(format, args...))
	return e.With(errcode.Evidence{Structure: "request", Field: field, Value: value})
}

func notFound(what, id string) error {
	return errcode.New(errcode.NotFound, "there is no %s %s", what, id)
}

// unseen is the error of a look-up with the words that what is hidden is answered with:
// nobody finds out by them whether something is there, or has been.
func unseen(err error, what, id string) error {
	if errcode.Of(err) == errcode.NotFound {
		return notFound(what, id)
	}
	return err
}

func methodNotAllowed(allowed string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", allowed)
		return errcode.New(errcode.MethodNotAllowed, "%s takes %s, not %s", r.URL.Path, allowed, r.Method)
	}
}

// writeJSON answers with a body. An error while sending has nobody to be told.
func writeJSON(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		status, raw = http.StatusInternalServerError, []byte(`{"message":"the answer could not be written"}`)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(AnswerTime))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n'))
}
