package api

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// A Converter computes images in other formats than those that they are stored in.
type Converter interface {
	// Render opens an image's stored bytes, of the format, as the target. The context
	// ends all reads.
	Render(ctx context.Context, from []contract.Stored, size int64, format string, t contract.TargetSpec) (Rendering, error)
}

// A Rendering is a file that nobody has written.
type Rendering interface {
	// Size is its length, bytes; -1 for a file that is made from its begin to its end.
	Size() int64
	Format() string
	// WriteRange computes a part of a file that has a Size.
	WriteRange(w io.Writer, off, n int64) (int64, error)
	// Stream makes one that has none. begin is called before the first byte, with the
	// length or -1. After an error, what was written is not the file.
	Stream(w io.Writer, begin func(size int64)) error
	Close() error
}

// Bounds of how many downloads are converted at once: each keeps a core busy. A project
// leaves some to the others, however slowly it reads what it is sent.
const (
	conversionsAtOnce = 8
	conversionsOfOne  = 6
)

// askedFormat is the target that a download's query names, ok false if it names none,
// or what the image is stored as.
func (a *api) askedFormat(r *http.Request, img metadata.Image) (t contract.TargetSpec, ok bool, err error) {
	q := r.URL.Query()
	t = contract.TargetSpec{Format: q.Get("disk_format"), Compression: q.Get("compression")}
	if t.Format == "" {
		if t.Compression != "" {
			return t, false, badField("compression", t.Compression, "this is an option of a disk_format")
		}
		return t, false, nil
	}
	for name, values := range q {
		if name != "disk_format" && name != "compression" && name != "prefer" {
			if t.Options == nil {
				t.Options = map[string]string{}
			}
			t.Options[name] = values[0]
		}
	}
	if t.Compression == "" && len(t.Options) == 0 && strings.EqualFold(t.Format, img.DiskFormat) {
		return t, false, nil
	}
	if t.Format == "vmdk" && t.Compression == "" && len(t.Options) == 0 {
		t.Options = map[string]string{"subformat": "monolithicSparse"} // the one that has ranges
	}
	if a.Converter == nil {
		return t, false, errcode.New(errcode.NotFound, "this server converts no downloads")
	}
	if t, err = a.Defaults.Resolve(t); err != nil {
		return t, false, err
	}
	if !slices.Contains([]string{"", "bare"}, img.ContainerFormat) {
		return t, false, fieldError(errcode.Conflict, "disk_format", t.Format, "the image is a container, %s, which is not converted", img.ContainerFormat)
	}
	return t, true, nil
}

// downloadAs sends an image in another format than it is stored in.
func (a *api) downloadAs(w http.ResponseWriter, r *http.Request, img metadata.Image, t contract.TargetSpec) error {
	leave, err := a.enterConversion(r)
	if err != nil {
		return err
	}
	defer leave()
	var from []contract.Stored
	for _, loc := range a.readOrder(r, img) {
		from = append(from, contract.Stored{Store: loc.Store, Key: loc.Key})
	}
	file, err := a.Converter.Render(r.Context(), from, *img.Size, img.DiskFormat, t)
	if err != nil {
		return err
	}
	defer file.Close()
	c := converted{img: img, file: file, tag: a.convertedTag(img, t, file.Size())}
	if file.Size() < 0 {
		return a.streamFile(w, r, c)
	}
	return a.answerFile(w, r, img, c)
}

// enterConversion takes part in what is converted at once.
func (a *api) enterConversion(r *http.Request) (leave func(), err error) {
	leaveOwn, err := a.convertingOf.enter(project(r.Context()), conversionsOfOne)
	if err != nil {
		return nil, errcode.New(errcode.TooManyRequests, "%d downloads of the project are converted at once already", conversionsOfOne)
	}
	leaveAll, err := a.converting.enter("", conversionsAtOnce)
	if err != nil {
		leaveOwn()
		return nil, errcode.New(errcode.TooManyRequests, "%d downloads are converted at once already", conversionsAtOnce)
	}
	return func() { leaveAll(); leaveOwn() }, nil
}

// streamFile answers a request for a file that is made from its begin to its end. It has
// no ranges: who asks for one is sent the whole, as HTTP has it. A file that cannot be
// made to its end breaks the connection, so that nobody takes what came for the whole.
func (a *api) streamFile(w http.ResponseWriter, r *http.Request, c converted) error {
	if done, err := unchanged(w, r, c.img, c.tag); done || err != nil {
		return err
	}
	begun := false
	begin := func(size int64) {
		begun = true
		setFileHeaders(w.Header(), c.img, c.tag)
		w.Header().Del("Accept-Ranges")
		c.headers(w.Header())
		if size >= 0 {
			w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		}
		w.WriteHeader(http.StatusOK)
	}
	if r.Method == http.MethodHead {
		begin(-1)
		return nil
	}
	conn := http.NewResponseController(w)
	defer func() { _ = conn.SetWriteDeadline(time.Time{}) }()
	err := c.file.Stream(&steadyWriter{w: w, conn: conn}, begin)
	if err == nil || !begun {
		return err
	}
	if r.Context().Err() == nil {
		a.Log.Warn().Err(err).Str("path", r.URL.Path).Msg("download broke off")
	}
	panic(http.ErrAbortHandler)
}

// convertedTag tells the bytes of an image in one format from those in another: the
// same image, target, options and version of the program give the same bytes. What is
// computed takes its length too: one place of an image may know holes that another does
// not, and more is left out of what is made of it.
func (a *api) convertedTag(img metadata.Image, t contract.TargetSpec, size int64) string {
	if img.HashValue == "" {
		return ""
	}
	parts := []string{img.HashAlgo, img.HashValue, a.Version, t.Format, strconv.FormatInt(size, 10)}
	for _, name := range slices.Sorted(maps.Keys(t.Options)) {
		parts = append(parts, name+"="+t.Options[name])
	}
	return `"` + strings.ReplaceAll(strings.Join(parts, "-"), `"`, "") + `"`
}

// converted is a file that is computed while it is sent.
type converted struct {
	img  metadata.Image
	file Rendering
	tag  string
}

func (c converted) size() int64 { return c.file.Size() }

func (c converted) etag() string { return c.tag }

func (c converted) open(off, n int64) (content, error) { return &convertedRange{c.file, off, n}, nil }

func (c converted) headers(h http.Header) {
	h.Set("X-Ingest-Disk-Format", c.file.Format())
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%s", strconv.Quote(c.img.ID+"."+c.file.Format())))
}

type convertedRange struct {
	file   Rendering
	off, n int64
}

func (c *convertedRange) WriteTo(w io.Writer) (int64, error) { return c.file.WriteRange(w, c.off, c.n) }
func (c *convertedRange) Close() error                       { return nil }

// A content is bytes that are written to a client.
type content interface {
	io.WriterTo
	io.Closer
}

// A served is what can be downloaded of an image, in ranges.
type served interface {
	size() int64
	etag() string // "" for none
	open(off, n int64) (content, error)
	headers(h http.Header)
}

// stored is an image as it lies in the stores.
type stored struct {
	a   *api
	r   *http.Request
	img metadata.Image
}

func (s stored) size() int64  { return *s.img.Size }
func (s stored) etag() string { return etag(s.img) }

func (s stored) open(off, n int64) (content, error) {
	rl, err := s.a.openImage(s.r, s.img, off, n)
	if err != nil {
		return nil, err
	}
	return rl, nil
}

func (s stored) headers(h http.Header) {
	if s.img.Checksum != "" {
		h.Set("Content-MD5", s.img.Checksum) // in hex, as Glance sends it
	}
}
