package sources

import (
	"context"
	"strings"
	"time"

	"ingest/internal/errcode"
)

// Seen is what a source says of its version, without any of its bytes.
type Seen struct {
	URL          string // without user and query
	Size         int64  // bytes, -1 if unknown
	ETag         string // also a weak one; "" if there is none
	LastModified string // as HTTP writes dates
	Version      string // of the object, where the source keeps several
}

// A Looker is an ability of drivers that learn which version a source has without
// reading a byte of it. Others are asked by Open.
type Looker interface {
	Look(ctx context.Context, ref Ref) (Seen, error)
}

// MaxListed is how many files of a folder are looked at.
const MaxListed = 10_000

// MaxIndexBytes bounds the page that lists a folder on a web server.
const MaxIndexBytes = 8 << 20

// Listed is one file of a folder.
type Listed struct {
	Name     string
	URL      string    // to open it by
	Modified time.Time // zero if the list does not say
}

// A Lister is an ability of drivers that know what lies in a folder.
type Lister interface {
	// List lists the files beside ref.URL whose names fit its last element, in which *
	// stands for any characters. More than MaxListed files are errcode.SourceTooLarge.
	List(ctx context.Context, ref Ref) ([]Listed, error)
}

// Look says which version a source has.
func (s Set) Look(ctx context.Context, ref Ref) (Seen, error) {
	d, err := s.driver(ref.URL)
	if err != nil {
		return Seen{}, err
	}
	if l, ok := d.(Looker); ok {
		return l.Look(ctx, ref)
	}
	src, err := d.Open(ctx, ref, nil)
	if err != nil {
		return Seen{}, err
	}
	defer src.Close()
	pin := src.Pin()
	seen := Seen{URL: pin.URL, Size: pin.Size, ETag: pin.Validator}
	if t, ok := TraceOf(src); ok {
		seen.URL, seen.LastModified, seen.Version = t.URL, t.LastModified, t.Version
		if t.ETag != "" {
			seen.ETag = t.ETag
		}
	}
	return seen, nil
}

// List lists the files that fit a pattern.
func (s Set) List(ctx context.Context, ref Ref) ([]Listed, error) {
	d, err := s.driver(ref.URL)
	if err != nil {
		return nil, err
	}
	l, ok := d.(Lister)
	if !ok {
		return nil, errcode.New(errcode.SourceScheme, "sources of %s cannot be listed, so that their URL cannot be a pattern", d.Name()).
			With(errcode.Evidence{Structure: "source URL", Field: "scheme", Value: d.Name()})
	}
	return l.List(ctx, ref)
}

// TooManyListed is the error of a folder with more files than are looked at.
func TooManyListed() error {
	return errcode.New(errcode.SourceTooLarge, "the folder has more than %d files", MaxListed).
		With(errcode.Evidence{Structure: "folder", Field: "files", Limit: "10000"})
}

// Fits reports whether a name fits a pattern, in which * stands for any characters.
func Fits(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(name) < len(first)+len(last) || !strings.HasPrefix(name, first) || !strings.HasSuffix(name, last) {
		return false
	}
	name = name[len(first) : len(name)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return true
}
