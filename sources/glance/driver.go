package glance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"ingest/internal/credentials"
	"ingest/internal/errcode"
	"ingest/sources"
	httpsource "ingest/sources/http"
)

// Name is the driver's name in a pin, and its scheme.
const Name = "glance"

// A Driver opens glance URLs.
type Driver struct {
	web   *httpsource.Driver
	vault *credentials.Vault

	mu       sync.Mutex
	sessions map[string]*session
}

var _ sources.Driver = (*Driver)(nil)

// New returns a driver that reads as web does, within the same budgets, with
// credentials from vault.
func New(web *httpsource.Driver, vault *credentials.Vault) *Driver {
	return &Driver{web: web, vault: vault, sessions: map[string]*session{}}
}

// Name returns "glance".
func (d *Driver) Name() string { return Name }

// Schemes returns the one scheme.
func (d *Driver) Schemes() []string { return []string{Name} }

// Open asks for the image's record and pins what it learns.
func (d *Driver) Open(ctx context.Context, ref sources.Ref, pin *sources.Pin) (sources.Source, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	loc, err := parse(ref.URL)
	if err != nil {
		return nil, err
	}
	l, err := d.connect(ctx, ref, loc)
	if err != nil {
		return nil, err
	}
	r, err := l.find(ctx, loc, pin)
	if err != nil {
		return nil, err
	}
	if err := r.active(); err != nil {
		return nil, err
	}
	got, err := r.pin(ref.URL)
	if err != nil {
		return nil, err
	}
	if pin != nil {
		if err := matches(*pin, got); err != nil {
			return nil, err
		}
	}
	v := &version{link: l, pin: got, checksum: strings.ToLower(r.Checksum)}
	bytes, err := d.web.OpenFile(ctx, httpsource.File{At: l.at("images", r.ID, "file"), Pin: got, Of: v, Trusted: l.trusted})
	if err != nil {
		return nil, err
	}
	s := &source{Source: bytes}
	s.about, s.notes = r.about(ref.Whole)
	if ref.Whole && len(s.notes) > 0 {
		return nil, errors.Join(tooMuch(s.notes[0]), s.Close())
	}
	s.about.URL = sources.PublicURL(l.at("images", r.ID))
	if pin != nil && pin.Random && !bytes.Pin().Random {
		bytes.Close()
		return nil, sources.Changed("ranges", "refused", "served")
	}
	return s, nil
}

// A source is an image's bytes with what its record says.
type source struct {
	sources.Source
	about sources.About
	notes []string
}

var (
	_ sources.Described = (*source)(nil)
	_ sources.Wrapper   = (*source)(nil)
	_ sources.Noted     = (*source)(nil)
)

// Unwrap returns the bytes alone.
func (s *source) Unwrap() sources.Source { return s.Source }

// About returns what the image's cloud says of it.
func (s *source) About() sources.About { return s.about }

// Notes says what of the image is left out.
func (s *source) Notes() []string { return append(s.notes, sources.NotesOf(s.Source)...) }

// Check asks whether the source is still the pinned version.
func (s *source) Check(ctx context.Context) error {
	if c, ok := s.Source.(interface{ Check(context.Context) error }); ok {
		return c.Check(ctx)
	}
	return ctx.Err()
}

// find returns the record of the image that is asked for, or that is pinned.
func (l *link) find(ctx context.Context, loc location, pin *sources.Pin) (record, error) {
	switch {
	case pin != nil:
		return l.pinned(ctx, idOf(*pin))
	case loc.id != "":
		return l.record(ctx, loc.id)
	}
	return l.named(ctx, loc.name)
}

// pinned returns the record of an image that was there before: if it is not any more,
// the source has changed.
func (l *link) pinned(ctx context.Context, id string) (record, error) {
	r, err := l.record(ctx, id)
	if errcode.Of(err) == errcode.SourceNotFound {
		return record{}, sources.Changed("image", "gone", "there")
	}
	return r, err
}

func (l *link) record(ctx context.Context, id string) (record, error) {
	raw, err := l.get(ctx, l.at("images", id))
	if err != nil {
		return record{}, err
	}
	r, err := readRecord(raw)
	if err == nil && r.ID != id {
		err = errcode.New(errcode.SourceUnreachable, "the service answers with another image")
	}
	return r, err
}

// mostListed is how many images of one name are told of.
const mostListed = 10

// mostAsked is how many images of one name are asked for.
const mostAsked = 100

// listed are the records of a list that is no longer than what was asked for.
type listed []json.RawMessage

// UnmarshalJSON reads a list. It ends at the first record too many.
func (l *listed) UnmarshalJSON(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if begin, err := dec.Token(); err != nil || begin != json.Delim('[') {
		return errors.New("no list")
	}
	*l = listed{}
	for dec.More() {
		if len(*l) == mostAsked {
			return errors.New("more than was asked for")
		}
		var one json.RawMessage
		if err := dec.Decode(&one); err != nil {
			return err
		}
		*l = append(*l, one)
	}
	return nil
}

// named returns the record of the only image of a name. Hidden images are found by
// their id alone, as Glance has it.
func (l *link) named(ctx context.Context, name string) (record, error) {
	u := l.at("images")
	u.RawQuery = url.Values{"name": {name}, "limit": {strconv.Itoa(mostAsked)}}.Encode()
	raw, err := l.get(ctx, u)
	if err != nil {
		return record{}, err
	}
	var list struct {
		Images listed `json:"images"`
	}
	if json.Unmarshal(raw, &list) != nil || list.Images == nil {
		return record{}, errcode.New(errcode.SourceUnreachable, "the service answers with what is no list of images")
	}
	var found []record
	var told []string
	for _, one := range list.Images {
		r, err := readRecord(one)
		if err != nil {
			return record{}, err
		}
		if r.Name == name {
			found = append(found, r)
			told = append(told, errcode.Shown(r.ID)+" ("+errcode.Shown(r.Status)+")")
		}
	}
	switch n := len(found); {
	case n == 0:
		return record{}, errcode.New(errcode.SourceNotFound, "the service has no image of this name").
			With(errcode.Evidence{Structure: "source", Field: "name", Value: errcode.Shown(name)})
	case n > 1:
		if n > mostListed {
			told = append(told[:mostListed], "...")
		}
		return record{}, errcode.New(errcode.SourceAmbiguous, "%d images have this name: %s", n, strings.Join(told, ", ")).
			With(errcode.Evidence{Structure: "source", Field: "name", Value: errcode.Shown(name), Limit: "1 image"})
	}
	return found[0], nil
}

// A version is an image as it was pinned. It is the service of the image's bytes.
type version struct {
	*link
	pin      sources.Pin
	checksum string // MD5 in hex, "" if the service has none
}

// Same compares the checksum that Glance sends along, which is hex in Content-MD5.
func (v *version) Same(h http.Header) error {
	sent := strings.ToLower(h.Get("Content-MD5"))
	if len(sent) == digits["md5"] && v.checksum != "" && sent != v.checksum {
		return sources.Changed("Content-MD5", sent, v.checksum)
	}
	return nil
}

// Check compares the record as it is now.
func (v *version) Check(ctx context.Context) error {
	r, err := v.pinned(ctx, idOf(v.pin))
	if err != nil {
		return err
	}
	if err := r.active(); err != nil {
		return err
	}
	got, err := r.pin(v.pin.URL)
	if err != nil {
		return err
	}
	return matches(v.pin, got)
}

func matches(want, got sources.Pin) error {
	switch {
	case want.Validator != got.Validator:
		return sources.Changed("validator", got.Validator, want.Validator)
	case want.Size != got.Size:
		return sources.Changed("length", strconv.FormatInt(got.Size, 10), strconv.FormatInt(want.Size, 10))
	}
	return nil
}

// maxAnswer bounds an answer of the service that is no image's bytes: a hundred
// records of 128 properties with 255 characters each.
const maxAnswer = 8 << 20

// readAnswer reads an answer to its end.
func readAnswer(body io.ReadCloser) ([]byte, error) {
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err == nil && len(raw) > maxAnswer {
		err = errcode.New(errcode.SourceUnreachable, "the service answers with more than %d bytes", maxAnswer)
	}
	return raw, err
}
