package api

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/internal/identity"
)

type contextKey int

const requestIDKey contextKey = iota

func requestID(ctx context.Context) string { return stringOf(ctx, requestIDKey) }
func project(ctx context.Context) string   { return identity.From(ctx).Project }

func stringOf(ctx context.Context, key contextKey) string {
	s, _ := ctx.Value(key).(string)
	return s
}

// wrap puts around all routes what each request gets: an id, a caller, a
// bounded body, protection from foreign web pages, a line in the log.
func (a *api) wrap(mux *http.ServeMux) http.Handler {
	cross := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		r = a.negotiated(r)
		r.RemoteAddr = a.Proxies.Client(r) // for whoever counts or logs addresses
		rec := &recorder{ResponseWriter: w}
		// That of the answer before, on the same connection.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		id := incomingID(r)
		rec.Header().Set("X-Openstack-Request-Id", id)
		rec.Header().Set("X-Request-Id", id)
		ctx := context.WithValue(r.Context(), requestIDKey, id)
		defer a.finish(rec, r.WithContext(ctx), began)
		defer func() { a.answered(r, rec.status) }()

		who, err := identity.Caller{}, checkURL(r.URL)
		if err == nil {
			err = a.admit(cross, r)
		}
		if err == nil {
			who, err = a.enter(mux, rec, r)
		}
		rec.caller = who
		r = r.WithContext(identity.With(ctx, who))
		if err != nil {
			a.fail(rec, r, err)
			return
		}
		if !brings(r) {
			r.Body = a.timed(rec, r)
		}
		mux.ServeHTTP(rec, r)
	})
}

// brings reports whether a request's body is the bytes of an image, which have bounds
// of their own.
func brings(r *http.Request) bool {
	image, ok := strings.CutPrefix(r.URL.Path, "/v2/images/")
	_, what, _ := strings.Cut(image, "/")
	// A member or a tag may be called "file", too.
	return ok && r.Method == http.MethodPut && (what == "file" || what == "stage")
}

// admit refuses what a web page of somebody else makes a browser send here.
func (a *api) admit(cross *http.CrossOriginProtection, r *http.Request) error {
	if err := cross.Check(r); err != nil {
		return errcode.Wrap(err, errcode.Forbidden, "requests from another web site are refused")
	}
	if len(a.Hosts) == 0 {
		return nil
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if !slices.Contains(a.Hosts, strings.Trim(strings.ToLower(host), "[]")) {
		return errcode.New(errcode.Forbidden, "this server is not called %q", host)
	}
	return nil
}

// finish logs a request, and answers one whose handler panicked. If its answer had begun,
// the connection breaks: an answer without a length would look whole.
func (a *api) finish(rec *recorder, r *http.Request, began time.Time) {
	broken := false
	if p := recover(); p != nil {
		if p == http.ErrAbortHandler {
			panic(p)
		}
		a.Log.Error().Any("panic", p).Bytes("stack", debug.Stack()).Str("request_id", requestID(r.Context())).Msg("handler panicked")
		if broken = rec.status != 0; !broken {
			a.fail(rec, r, errcode.New(errcode.Internal, "the request could not be answered"))
		}
	}
	a.Log.Debug().Str("method", r.Method).Str("path", r.URL.Path).Int("status", rec.status).
		Int64("bytes", rec.bytes).Dur("took", time.Since(began)).
		Str("project", rec.caller.Project).Str("user", rec.caller.User).Str("request_id", requestID(r.Context())).Msg("request")
	if broken {
		panic(http.ErrAbortHandler)
	}
}

// incomingID takes over the caller's request id if it is one, so that a request
// can be followed through several services.
func incomingID(r *http.Request) string {
	for _, name := range []string{"X-Openstack-Request-Id", "X-Request-Id"} {
		if id := r.Header.Get(name); id != "" && len(id) <= 64 && strings.Trim(id, idAlphabet) == "" {
			return id
		}
	}
	return "req-" + uuid.NewString()
}

const idAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// A recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
	caller identity.Caller
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// ReadFrom hands what is copied into the answer on to the connection, which sends files
// without their bytes passing through this process.
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := io.Copy(r.ResponseWriter, src)
	r.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
