package http

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"

	"ingest/internal/errcode"
	"ingest/sources"
)

// MaxMirrors is how many places of one source are taken besides its URL.
const MaxMirrors = 15

// Spots are what is read of every place before the first range is, to find out
// whether all hold the same bytes: the first and the last bytes, and some between
// that nobody can foresee.
const (
	spotBytes   = 64 << 10
	randomSpots = 2
)

// A place is one entry of Pin.Mirrors.
type place struct {
	URL       string `json:"u"`
	Validator string `json:"v,omitempty"`
	Strong    bool   `json:"s,omitempty"`
}

// found is what a place's probe came to.
type found struct {
	*replica
	given  string // URL
	answer *answer
	spots  []byte
	err    error
}

// openMirrored opens a source of several places. Those that cannot be used are noted
// and left out; what is the version is decided by the first that can be used, in the
// order in which they are given.
func (d *Driver) openMirrored(ctx context.Context, ref sources.Ref, pin *sources.Pin) (sources.Source, error) {
	places, err := placesOf(ref, pin)
	if err != nil {
		return nil, err
	}
	all := make([]*found, len(places))
	for i, p := range places {
		if all[i], err = d.admit(ref, p.URL, p.URL != ref.URL); err != nil {
			return nil, err
		}
	}
	each(all, func(i int, f *found) { d.c.probePlace(ctx, f) })
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if pin != nil {
		for i, f := range all {
			want := *pin
			want.Validator, want.Strong = places[i].Validator, places[i].Strong
			f.fail(func() error { return matches(&want, &f.pin) })
		}
	} else {
		d.c.compare(ctx, all)
	}
	return d.assemble(ref, pin, all)
}

// placesOf lists where the bytes are: as pinned, or as asked for.
func placesOf(ref sources.Ref, pin *sources.Pin) ([]place, error) {
	var places []place
	if pin != nil {
		if err := json.Unmarshal([]byte(pin.Mirrors), &places); err != nil || len(places) == 0 {
			return nil, sources.Changed("mirrors", "given", "none")
		}
		return places, nil
	}
	if len(ref.Mirrors) > MaxMirrors {
		return nil, errcode.New(errcode.SourceURLInvalid, "the source has more than %d mirrors", MaxMirrors).
			With(errcode.Evidence{Structure: "source", Field: "mirrors", Value: strconv.Itoa(len(ref.Mirrors)), Limit: strconv.Itoa(MaxMirrors)})
	}
	seen := map[string]bool{}
	for _, u := range append([]string{ref.URL}, ref.Mirrors...) {
		if !seen[u] {
			seen[u] = true
			places = append(places, place{URL: u})
		}
	}
	return places, nil
}

// admit checks a place as far as that is possible without asking its server. A
// mirror for whose host the credential is not meant is asked without it.
func (d *Driver) admit(ref sources.Ref, raw string, mirror bool) (*found, error) {
	u, err := checkURL(raw)
	if err == nil && d.c.opt.HTTPSOnly && u.Scheme != "https" {
		err = errcode.New(errcode.SourceScheme, "the operator takes sources from https only")
	}
	if err != nil {
		return nil, err
	}
	auth, at, err := d.newLogin(ref, u)
	if mirror && errcode.Of(err) == errcode.CredentialNotAllowed {
		auth, at, err = nil, u, nil
	}
	return &found{replica: &replica{orig: at, shown: u.Host, auth: auth}, given: raw}, err
}

// each calls f for all places that have not failed, beside each other.
func each(all []*found, f func(i int, one *found)) {
	var wg sync.WaitGroup
	for i, one := range all {
		if one.err == nil {
			wg.Go(func() { f(i, one) })
		}
	}
	wg.Wait()
}

// fail notes what check says of a place that has not failed yet.
func (f *found) fail(check func() error) {
	if f.err == nil {
		f.err = check()
	}
}

func (c *client) probePlace(ctx context.Context, f *found) {
	got, a, err := c.probe(f.auth.with(ctx), f.orig)
	switch {
	case err != nil:
		f.err = err
	case got.Size > c.opt.MaxBytes:
		f.err = tooLarge(c.opt.MaxBytes)
	default:
		f.pin, f.answer, f.at = *got, a, a.url
	}
}

// compare leaves out the places that do not hold what the first usable one holds.
// Where there are ranges, all that have none are left out.
func (c *client) compare(ctx context.Context, all []*found) {
	first := firstOf(all, func(f *found) bool { return f.pin.Random })
	if first == nil {
		// What cannot be read in ranges is read from one place.
		if first = firstOf(all, func(*found) bool { return true }); first == nil {
			return
		}
		for _, f := range all {
			if f != first {
				f.fail(noRanges)
			}
		}
		return
	}
	for _, f := range all {
		f.fail(func() error {
			switch {
			case !f.pin.Random:
				return noRanges()
			case f.pin.Size != first.pin.Size:
				return differs("length", strconv.FormatInt(f.pin.Size, 10), strconv.FormatInt(first.pin.Size, 10))
			}
			return nil
		})
	}
	offs := spotsOf(first.pin.Size)
	each(all, func(_ int, f *found) { f.spots, f.err = c.readSpots(ctx, f, offs) })
	first = firstOf(all, func(*found) bool { return true })
	for _, f := range all {
		f.fail(func() error {
			if !bytes.Equal(f.spots, first.spots) {
				return differs("bytes", "others", "those of the source's other places")
			}
			return nil
		})
	}
}

// firstOf returns the first place that has not failed and is good, nil if none is.
func firstOf(all []*found, good func(*found) bool) *found {
	for _, f := range all {
		if f.err == nil && good(f) {
			return f
		}
	}
	return nil
}

// differs is the error of a mirror that is not one.
func differs(field, is, others string) error {
	return errcode.New(errcode.SourceChanged, "it holds another version than the source's other places").
		With(errcode.Evidence{Structure: "mirror", Field: field, Value: is, Limit: others})
}

// spotsOf returns the offsets at which places of size bytes are compared.
func spotsOf(size int64) []int64 {
	last := max(size-spotBytes, 0)
	offs := []int64{0, last}
	for range randomSpots {
		offs = append(offs, rand.Int64N(last+1))
	}
	return offs
}

func (c *client) readSpots(ctx context.Context, f *found, offs []int64) ([]byte, error) {
	s := newSource(c, newCrew([]*replica{f.replica}, 1), f.answer, f.pin)
	defer s.Close()
	var out bytes.Buffer
	for _, off := range offs {
		end := min(off+spotBytes, f.pin.Size)
		r := &ranged{s: s, ctx: ctx, cancel: func() {}, meter: c.newMeter(), off: off, end: end}
		_, err := io.Copy(&out, r)
		r.Close()
		if err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// assemble makes a source of the places that have not failed.
func (d *Driver) assemble(ref sources.Ref, pin *sources.Pin, all []*found) (sources.Source, error) {
	first := firstOf(all, func(*found) bool { return true })
	if first == nil {
		return nil, worst(all)
	}
	got := first.pin
	got.URL = ref.URL
	var live []*replica
	var places []place
	var notes []string
	for _, f := range all {
		if f.err != nil {
			notes = append(notes, noteOf(f.replica, len(all), f.err))
			continue
		}
		live = append(live, f.replica)
		places = append(places, place{f.given, f.pin.Validator, f.pin.Strong})
		got.Strong = got.Strong && f.pin.Strong
	}
	text, err := json.Marshal(places)
	if err != nil {
		return nil, err
	}
	if got.Mirrors = string(text); pin != nil {
		got = *pin
	}
	team := newCrew(live, d.c.opt.Parallel)
	team.notes = notes
	s := newSource(d.c, team, first.answer, got)
	s.trace.Others = othersOf(all, first)
	return s, nil
}

// othersOf lists where the places that are used besides the first one are, and
// through where they were reached.
func othersOf(all []*found, first *found) []string {
	var out []string
	for _, f := range all {
		if f.err != nil || f == first {
			continue
		}
		for _, at := range append([]string{sources.PublicURL(f.answer.url)}, f.answer.via...) {
			if len(at) > sources.MaxOther {
				at = strings.ToValidUTF8(at[:sources.MaxOther], "")
			}
			if !slices.Contains(out, at) {
				out = append(out, at)
			}
		}
	}
	return out
}

// worst is the error of a source none of whose places can be used: that one has
// changed, if one has, else that of the first.
func worst(all []*found) error {
	for _, f := range all {
		if errcode.Of(f.err) == errcode.SourceChanged {
			return f.err
		}
	}
	return all[0].err
}
