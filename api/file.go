package api

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

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
	size := *img.Size
	rng, err := askedRange(r, img, size)
	if err != nil {
		if errcode.Of(err) == errcode.RangeInvalid {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		}
		return err
	}
	tag := etag(img)
	if rng == nil && tag != "" && matches(r.Header.Get("If-None-Match"), tag) {
		w.Header().Set("ETag", tag)
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	off, n, status := int64(0), size, http.StatusOK
	if rng != nil {
		off, n, status = rng.off, rng.n, http.StatusPartialContent
	}
	var body io.ReadCloser
	if r.Method != http.MethodHead {
		if body, err = a.openImage(r, img, off, n); err != nil {
			return err
		}
		defer body.Close()
	}
	setFileHeaders(w.Header(), img, tag)
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	if rng != nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, size))
	}
	w.WriteHeader(status)
	if body != nil {
		a.send(w, r, body, n)
	}
	return nil
}

// send copies n bytes. If fewer come, the answer stays shorter than its
// Content-Length and the server closes the connection, so that the client
// cannot take it for the whole.
func (a *api) send(w io.Writer, r *http.Request, body io.Reader, n int64) {
	// onlyWriter hides ReadFrom, which would buffer as it likes.
	type onlyWriter struct{ io.Writer }
	sent, err := io.CopyBuffer(onlyWriter{w}, io.LimitReader(body, n), make([]byte, copyBuffer))
	if err == nil && sent != n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && r.Context().Err() == nil {
		a.Log.Warn().Err(err).Str("path", r.URL.Path).Int64("sent", sent).Int64("of", n).Msg("download broke off")
	}
}

func setFileHeaders(h http.Header, img metadata.Image, tag string) {
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Accept-Ranges", "bytes")
	h.Set("X-Content-Type-Options", "nosniff")
	if tag != "" {
		h.Set("ETag", tag)
	}
	if img.Checksum != "" {
		h.Set("Content-MD5", img.Checksum) // in hex, as Glance sends it
	}
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
func askedRange(r *http.Request, img metadata.Image, size int64) (*byteRange, error) {
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
	if cond := r.Header.Get("If-Range"); cond != "" && cond != etag(img) {
		return nil, nil
	}
	return parseRange(spec, size)
}

func parseRange(spec string, size int64) (*byteRange, error) {
	unit, set, ok := strings.Cut(spec, "=")
	if !ok || strings.TrimSpace(unit) != "bytes" {
		return nil, badField("Range", spec, "expected bytes=FIRST-LAST")
	}
	if strings.Contains(set, ",") {
		return nil, badField("Range", spec, "several ranges at once are not served")
	}
	first, last, ok := strings.Cut(strings.TrimSpace(set), "-")
	if !ok {
		return nil, badField("Range", spec, "expected bytes=FIRST-LAST")
	}
	if first == "" { // the last n bytes
		n, err := parseOffset(last)
		if err != nil {
			return nil, badField("Range", spec, "expected bytes=FIRST-LAST")
		}
		if n = min(n, size); n == 0 {
			return nil, outside(spec, size)
		}
		return &byteRange{size - n, n}, nil
	}
	off, err := parseOffset(first)
	if err != nil {
		return nil, badField("Range", spec, "expected bytes=FIRST-LAST")
	}
	end := size - 1
	if last != "" {
		if end, err = parseOffset(last); err != nil || end < off {
			return nil, badField("Range", spec, "expected bytes=FIRST-LAST")
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

func outside(spec string, size int64) error {
	return fieldError(errcode.RangeInvalid, "Range", spec, "the image has %d bytes", size)
}
