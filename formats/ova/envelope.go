package ova

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"ingest/internal/errcode"
)

// Bounds on the descriptor.
const (
	maxDepth = 64
	maxFiles = 64
)

// namespace is that of OVF 1; version 2 reads it too.
const namespace = "http://schemas.dmtf.org/ovf/envelope/1"

// An envelope is what is read of a descriptor.
type envelope struct {
	XMLName xml.Name
	Files   []struct {
		ID          string `xml:"id,attr"`
		Href        string `xml:"href,attr"`
		Size        string `xml:"size,attr"`
		Compression string `xml:"compression,attr"`
		Chunk       string `xml:"chunkSize,attr"`
	} `xml:"References>File"`
	Disks []struct {
		ID        string `xml:"diskId,attr"`
		File      string `xml:"fileRef,attr"`
		Capacity  string `xml:"capacity,attr"`
		Units     string `xml:"capacityAllocationUnits,attr"`
		Format    string `xml:"format,attr"`
		ParentRef string `xml:"parentRef,attr"`
	} `xml:"DiskSection>Disk"`
	System struct {
		ID   string `xml:"id,attr"`
		Name string
	} `xml:"VirtualSystem"`
}

// parse reads a descriptor. Entities and document types are refused: nothing of an
// OVF needs one.
func parse(text []byte) (*envelope, error) {
	if err := plain(text); err != nil {
		return nil, err
	}
	var e envelope
	if err := xml.Unmarshal(text, &e); err != nil {
		return nil, descriptorFault("", nil, "", "%v", err)
	}
	switch {
	case e.XMLName.Local != "Envelope" || e.XMLName.Space != namespace:
		return nil, descriptorFault("Envelope", clip(e.XMLName.Space), namespace, "this is not an OVF descriptor of version 1")
	case len(e.Files) > maxFiles:
		return nil, place("References", "File", -1).Refuse(errcode.ParserLimit, len(e.Files), fmt.Sprint(maxFiles), "there are too many files")
	case len(e.Disks) > maxFiles:
		return nil, place("DiskSection", "Disk", -1).Refuse(errcode.ParserLimit, len(e.Disks), fmt.Sprint(maxFiles), "there are too many disks")
	}
	return &e, nil
}

// plain walks the tokens before anything is built of them.
func plain(text []byte) error {
	d := xml.NewDecoder(bytes.NewReader(text))
	for depth := 0; ; {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return descriptorFault("", nil, "", "%v", err)
		}
		switch t.(type) {
		case xml.Directive:
			return descriptorFault("document type", nil, "none", "there is a document type declaration")
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		}
		if depth > maxDepth {
			return place("OVF descriptor", "", -1).Refuse(errcode.ParserLimit, depth, fmt.Sprint(maxDepth), "elements lie too deep")
		}
	}
}

// descriptorFault is the error of a descriptor that is not as it should be.
func descriptorFault(field string, value any, limit, format string, args ...any) error {
	return place("OVF descriptor", field, -1).Refuse(errcode.FormatMismatch, value, limit, "OVF descriptor: "+format, args...)
}

// A chosen disk is a member that is to be opened.
type chosen struct {
	name, format string
	capacity     int64
}

// choose holds the descriptor against the members and returns the disks.
func (p *Package) choose(e *envelope, descriptor string) ([]chosen, error) {
	files := map[string]string{} // name of the member by id
	used := map[string]bool{descriptor: true}
	for _, f := range e.Files {
		m, ok := p.members[f.Href]
		where := place("References", "href", -1)
		switch {
		case f.Compression != "" && f.Compression != "identity" || f.Chunk != "":
			where.Field = "compression"
			return nil, where.Refuse(errcode.FormatNotAllowed, clip(f.Compression), "none", "file %q is compressed or in pieces", clip(f.Href))
		case !ok:
			return nil, where.Refuse(errcode.MemberMissing, clip(f.Href), "", "file %q is not in the OVA", clip(f.Href))
		case f.Size != "" && f.Size != strconv.FormatInt(m.size, 10):
			where.Field = "size"
			return nil, where.Refuse(errcode.MemberMismatch, clip(f.Size), fmt.Sprint(m.size), "file %q has another size", clip(f.Href))
		}
		if _, twice := files[f.ID]; twice || used[f.Href] {
			return nil, where.Refuse(errcode.MemberMismatch, clip(f.Href), "", "file %q is there twice", clip(f.Href))
		}
		files[f.ID], used[f.Href] = f.Href, true
	}
	if err := p.strangers(used); err != nil {
		return nil, err
	}
	return e.disks(files)
}

// strangers refuses members that nothing names.
func (p *Package) strangers(used map[string]bool) error {
	for _, name := range slices.Sorted(maps.Keys(p.members)) {
		if !used[name] && !strings.HasSuffix(name, ".mf") && !strings.HasSuffix(name, ".cert") {
			return place("tar header", "name", p.members[name].off).Refuse(errcode.MemberMismatch, clip(name), "", "the descriptor does not name member %q", clip(name))
		}
	}
	return nil
}

// disks returns the disks with their members.
func (e *envelope) disks(files map[string]string) ([]chosen, error) {
	var out []chosen
	taken := map[string]bool{}
	for _, d := range e.Disks {
		name, ok := files[d.File]
		where := place("DiskSection", "fileRef", -1)
		switch {
		case d.ParentRef != "":
			where.Field = "parentRef"
			return nil, where.Refuse(errcode.FormatNotAllowed, clip(d.ParentRef), "none", "disk %q is a delta on another", clip(d.ID))
		case !ok:
			return nil, where.Refuse(errcode.MemberMissing, clip(d.File), "", "disk %q has no file", clip(d.ID))
		case taken[name]:
			return nil, where.Refuse(errcode.MemberMismatch, clip(name), "", "two disks have file %q", clip(name))
		}
		taken[name] = true
		capacity, err := capacityOf(d.Capacity, d.Units)
		if err != nil {
			where.Field = "capacity"
			return nil, where.Refuse(errcode.FormatMismatch, clip(d.Capacity+" "+d.Units), "a number of bytes", "disk %q has no sound capacity", clip(d.ID))
		}
		out = append(out, chosen{name: name, format: clip(d.Format), capacity: capacity})
	}
	return out, nil
}

var errUnits = errors.New("unknown unit")

// capacityOf reads a capacity in units of "byte" or "byte * 2^n" (DSP0004,
// "Programmatic units").
func capacityOf(capacity, units string) (int64, error) {
	n, err := strconv.ParseUint(capacity, 10, 63)
	if err != nil {
		return 0, err
	}
	units = strings.ReplaceAll(units, " ", "")
	if units == "" || units == "byte" {
		return int64(n), nil
	}
	power, ok := strings.CutPrefix(units, "byte*2^")
	shift, err := strconv.ParseUint(power, 10, 8)
	if !ok || err != nil || bits.Len64(n)+int(shift) > 63 {
		return 0, errUnits
	}
	return int64(n << shift), nil
}
