package api

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// copyBuffer is how much of an image is in memory while it is sent, bytes.
const copyBuffer = 256 << 10

// download sends an image's stored bytes, all or one range of them.
func (a *api) download(w http.ResponseWriter, r *http.Request) error {
	img, target, err := a.targetedImage(r, "download_image")
	if err != nil {
		return err
	}
	switch {
	case img.Status == metadata.ImageDeactivated && a.judge(r, "ingest:download_deactivated", target) != nil:
		return errcode.New(errcode.Forbidden, "image %s is deactivated", img.ID).
			With(errcode.Evidence{Structure: "access", Field: "ingest:download_deactivated"})
	case img.Status != metadata.ImageActive && img.Status != metadata.ImageDeactivated || img.Key == "" || img.Size == nil:
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	t, convert, err := a.askedFormat(r, img)
	if err != nil {
		return err
	}
	if convert {
		return a.downloadAs(w, r, img, t)
	}
	return a.answerFile(w, r, img, stored{a, r, img})
}

// answerFile answers a request for a file, or for a range of it.
func (a *api) answerFile(w http.ResponseWriter, r *http.Request, img metadata.Image, file served) error {
	size, tag := file.size(), file.etag()
	rng, err := askedRange(r, img, tag, size)
	if err != nil {
		if errcode.Of(err) == errcode.RangeInvalid {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		}
		return err
	}
	if done, err := unchanged(w, r, img, tag); done || err != nil {
		return err
	}
	off, n, status := int64(0), size, http.StatusOK
	if rng != nil {
		off, n, status = rng.off, rng.n, http.StatusPartialContent
	}
	var sent content
	if r.Method != http.MethodHead {
		if sent, err = file.open(off, n); err != nil {
			return err
		}
		defer sent.Close()
	}
	setFileHeaders(w.Header(), img, tag)
	file.headers(w.Header())
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	if rng != nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, size))
	}
	w.WriteHeader(status)
	if sent != nil {
		a.send(w, r, sent, n)
	}
	return nil
}

// send writes n bytes. If fewer come, the answer stays shorter than its
// Content-Length and the server closes the connection, so that the client
// cannot take it for the whole.
func (a *api) send(w http.ResponseWriter, r *http.Request, body io.WriterTo, n int64) {
	conn := http.NewResponseController(w)
	defer func() { _ = conn.SetWriteDeadline(time.Time{}) }()
	sent, err := body.WriteTo(&steadyWriter{w: w, conn: conn})
	if err == nil && sent != n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && r.Context().Err() == nil {
		a.Log.Warn().Err(err).Str("path", r.URL.Path).Int64("sent", sent).Int64("of", n).Msg("download broke off")
	}
}

// A client takes sendPiece bytes in sendTime, or is cut off: 14 kB/s.
const (
	sendPiece = 4 << 20
	sendTime  = 5 * time.Minute
)

// A steadyWriter is an answer whose client has to keep reading.
type steadyWriter struct {
	w    http.ResponseWriter
	conn *http.ResponseController
}

// Write writes a part of the answer.
func (s *steadyWriter) Write(p []byte) (int, error) {
	_ = s.conn.SetWriteDeadline(time.Now().Add(sendTime))
	return s.w.Write(p)
}

// ReadFrom hands a file on to the connection piece by piece.
func (s *steadyWriter) ReadFrom(src io.Reader) (int64, error) {
	var sent int64
	for {
		_ = s.conn.SetWriteDeadline(time.Now().Add(sendTime))
		piece := &io.LimitedReader{R: src, N: sendPiece}
		if l, ok := src.(*io.LimitedReader); ok { // the connection looks at what is below one of these
			piece = &io.LimitedReader{R: l.R, N: min(l.N, sendPiece)}
		}
		want := piece.N
		n, err := io.Copy(s.w, piece)
		sent += n
		if l, ok := src.(*io.LimitedReader); ok {
			l.N -= n
		}
		if err != nil || n < want || want == 0 {
			return sent, err
		}
	}
}

func setFileHeaders(h http.Header, img metadata.Image, tag string) {
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Accept-Ranges", "bytes")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Last-Modified", lastModified(img))
	if tag != "" {
		h.Set("ETag", tag)
	}
}

// lastModified is when the image last changed in any way, as HTTP writes it.
func lastModified(img metadata.Image) string { return img.UpdatedAt.UTC().Format(http.TimeFormat) }

// unchanged answers a request whose conditions say that nothing is to be sent (RFC
// 9110, section 13).
func unchanged(w http.ResponseWriter, r *http.Request, img metadata.Image, tag string) (done bool, err error) {
	if want := r.Header.Get("If-Match"); want != "" && !matches(want, tag) {
		return true, withStatus(http.StatusPreconditionFailed, fieldError(errcode.Conflict, "If-Match", want, "the image's bytes are %s", tag))
	}
	same := false
	if none := r.Header.Get("If-None-Match"); none != "" {
		same = tag != "" && matches(none, tag)
	} else if since, err := http.ParseTime(r.Header.Get("If-Modified-Since")); err == nil {
		same = !img.UpdatedAt.Truncate(time.Second).After(since)
	}
	if !same {
		return false, nil
	}
	if tag != "" {
		w.Header().Set("ETag", tag)
	}
	w.Header().Set("Last-Modified", lastModified(img))
	w.WriteHeader(http.StatusNotModified)
	return true, nil
}

// etag is a strong validator: the digest of the stored bytes.
func etag(img metadata.Image) string {
	if img.HashValue == "" {
		return ""
	}
	return `"` + img.HashAlgo + "-" + img.HashValue + `"`
}

// matches reports whether an If-None-Match header holds the tag.
func matches(header, tag string) bool {
	for _, part := range strings.Split(header, ",") {
		if part = strings.TrimSpace(part); part == "*" || strings.TrimPrefix(part, "W/") == tag {
			return true
		}
	}
	return false
}

type byteRange struct{ off, n int64 }

// askedRange reads the Range header (RFC 9110, section 14), or Glance's old
// request header Content-Range. nil means the whole image.
func askedRange(r *http.Request, img metadata.Image, tag string, size int64) (*byteRange, error) {
	spec := r.Header.Get("Range")
	if spec == "" {
		if old := r.Header.Get("Content-Range"); old != "" {
			head, _, _ := strings.Cut(old, "/")
			spec = strings.Replace(head, "bytes ", "bytes=", 1)
		}
	}
	if spec == "" {
		return nil, nil
	}
	// If-Range: the range counts only for the version that the client has.
	if cond := r.Header.Get("If-Range"); cond != "" && cond != tag && cond != lastModified(img) {
		return nil, nil
	}
	return parseRange(spec, size)
}

func parseRange(spec string, size int64) (*byteRange, error) {
	unit, set, ok := strings.Cut(spec, "=")
	if !ok || strings.TrimSpace(unit) != "bytes" {
		return nil, malformedRange(spec)
	}
	if strings.Contains(set, ",") {
		return nil, badField("Range", spec, "several ranges at once are not served")
	}
	first, last, ok := strings.Cut(strings.TrimSpace(set), "-")
	if !ok {
		return nil, malformedRange(spec)
	}
	if first == "" { // the last n bytes
		n, err := parseOffset(last)
		if err != nil {
			return nil, malformedRange(spec)
		}
		if n = min(n, size); n == 0 {
			return nil, outside(spec, size)
		}
		return &byteRange{size - n, n}, nil
	}
	off, err := parseOffset(first)
	if err != nil {
		return nil, malformedRange(spec)
	}
	end := size - 1
	if last != "" {
		if end, err = parseOffset(last); err != nil || end < off {
			return nil, malformedRange(spec)
		}
	}
	if off >= size {
		return nil, outside(spec, size)
	}
	return &byteRange{off, min(end, size-1) - off + 1}, nil
}

// parseOffset reads digits only; ParseInt alone would take a sign too. A number
// that is too great for any image is as good as the greatest.
func parseOffset(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 1<<63 - 1, nil
	}
	return n, nil
}

// malformedRange refuses what is no range, as Glance does: a client that has asked for a
// part is not sent the whole.
func malformedRange(spec string) error {
	return fieldError(errcode.RangeInvalid, "Range", spec, "expected bytes=FIRST-LAST")
}

func outside(spec string, size int64) error {
	return fieldError(errcode.RangeInvalid, "Range", spec, "the image has %d bytes", size)
}
