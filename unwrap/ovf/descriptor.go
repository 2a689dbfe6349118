package ovf

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"ingest/formats"
	"ingest/internal/errcode"
	"ingest/unwrap/archive"
)

// Limits bound what a descriptor may hold. The zero value allows nothing.
type Limits struct {
	// DescriptorBytes and ManifestBytes bound the texts. Descriptors of one
	// machine have a few KiB; licences in them, some more.
	DescriptorBytes int64
	ManifestBytes   int64
	// Depth is how deep elements may lie. Honest ones lie ten deep.
	Depth int
	// Files and Disks are how many there may be. AWS takes 21 disks, virtual
	// machines with more than a few are rare.
	Files int
	Disks int
}

// DefaultLimits returns limits that fit honest descriptors.
func DefaultLimits() Limits {
	return Limits{DescriptorBytes: 1 << 20, ManifestBytes: 64 << 10, Depth: 64, Files: 64, Disks: 16}
}

// Bounds on what is kept of the machine's devices; a PC has a few dozen.
const (
	maxItems = 1024
	maxText  = 1 << 10
)

// The namespaces of OVF 1 and 2 (DSP8023).
const (
	namespace1 = "http://schemas.dmtf.org/ovf/envelope/1"
	namespace2 = "http://schemas.dmtf.org/ovf/envelope/2"
)

// A Descriptor is what is read of an OVF descriptor, unjudged but for its bounds.
type Descriptor struct {
	Files  []File
	Disks  []DiskElement
	Name   string // of the machine, "" if it has none
	ID     string // of its VirtualSystem
	items  []item
	config map[string]string // vmw:Config and what stands for it elsewhere
	osType string            // VMware's identifier of the guest's system
	osID   string            // CIM's number of it
	boot   []string          // instance IDs of devices in VMware's boot order
	system int               // how many machines there are
}

// A File is an element of References.
type File struct{ ID, Href, Size, Compression, ChunkSize string }

// A DiskElement is an element of DiskSection.
type DiskElement struct{ ID, FileRef, Capacity, Units, Format, ParentRef string }

// An item is a virtual device.
type item map[string]string

// place is where in the descriptor something is wrong.
func place(structure, field string) formats.Place {
	return formats.Place{Format: "ovf", Structure: structure, Field: field, Off: -1}
}

// Parse reads a descriptor. Nothing in it refers to anything outside: document
// types are refused, and with them every entity but XML's own five.
func Parse(text []byte, lim Limits) (*Descriptor, error) {
	if int64(len(text)) > lim.DescriptorBytes {
		return nil, place("descriptor", "length").Refuse(errcode.OVFTooLarge, len(text), fmt.Sprint(lim.DescriptorBytes), "the OVF descriptor has %d bytes", len(text))
	}
	p := &parser{dec: xml.NewDecoder(bytes.NewReader(text)), lim: lim, d: &Descriptor{config: map[string]string{}}}
	p.dec.CharsetReader = func(charset string, r io.Reader) (io.Reader, error) {
		if c := strings.ToLower(charset); c == "us-ascii" || c == "ascii" {
			return r, nil
		}
		return nil, errors.New("the encoding is not UTF-8")
	}
	for {
		t, err := p.dec.Token()
		if errors.Is(err, io.EOF) {
			return p.d, p.finish()
		}
		if err != nil {
			return nil, p.invalid("", nil, "%v", err)
		}
		if err := p.token(t); err != nil {
			return nil, err
		}
	}
}

// A parser keeps the names of the elements that are open.
type parser struct {
	dec   *xml.Decoder
	lim   Limits
	d     *Descriptor
	path  []string
	text  strings.Builder
	roots int
}

// invalid is the error of a descriptor that is not as it should be.
func (p *parser) invalid(field string, value any, format string, args ...any) error {
	where := place("descriptor", field)
	where.Off = p.dec.InputOffset()
	return where.Refuse(errcode.OVFInvalid, value, "", "OVF descriptor: "+format, args...)
}

// tooLarge is the error of a descriptor that holds too much.
func (p *parser) tooLarge(what string, limit int) error {
	where := place("descriptor", what)
	where.Off = p.dec.InputOffset()
	return where.Refuse(errcode.OVFTooLarge, limit+1, fmt.Sprint(limit), "the OVF descriptor has more than %d %s", limit, what)
}

// token takes the next piece of the text.
func (p *parser) token(t xml.Token) error {
	switch t := t.(type) {
	case xml.Directive:
		where := place("descriptor", "document type")
		where.Off = p.dec.InputOffset()
		return where.Refuse(errcode.OVFDTD, archive.Clip(string(t)), "none", "the OVF descriptor has a document type declaration")
	case xml.StartElement:
		return p.start(t)
	case xml.CharData:
		if room := maxText - p.text.Len(); room > 0 {
			p.text.Write(t[:min(len(t), room)])
		}
	case xml.EndElement:
		p.end(t.Name.Local)
	}
	return nil
}

// start takes the begin of an element.
func (p *parser) start(e xml.StartElement) error {
	p.text.Reset()
	if len(p.path) == 0 {
		if p.roots++; p.roots > 1 || e.Name.Local != "Envelope" || e.Name.Space != namespace1 && e.Name.Space != namespace2 {
			return p.invalid("Envelope", archive.Clip(e.Name.Space+" "+e.Name.Local), "it does not begin with an envelope of OVF 1 or 2")
		}
	}
	p.path = append(p.path, e.Name.Local)
	if len(p.path) > p.lim.Depth {
		return p.tooLarge("levels", p.lim.Depth)
	}
	return p.element(e)
}

// under reports whether the open element has this name and these parents, from the
// inside outwards.
func (p *parser) under(names ...string) bool {
	n := len(p.path)
	if n < len(names) {
		return false
	}
	for i, name := range names {
		if p.path[n-1-i] != name {
			return false
		}
	}
	return true
}

// element keeps what is wanted of an element's attributes.
func (p *parser) element(e xml.StartElement) error {
	a := func(name string) string { return attribute(e, name) }
	switch {
	case p.under("File", "References", "Envelope"):
		if len(p.d.Files) >= p.lim.Files {
			return p.tooLarge("files", p.lim.Files)
		}
		p.d.Files = append(p.d.Files, File{ID: a("id"), Href: a("href"), Size: a("size"), Compression: a("compression"), ChunkSize: a("chunkSize")})
	case p.under("Disk", "DiskSection", "Envelope"):
		if len(p.d.Disks) >= p.lim.Disks {
			return p.tooLarge("disks", p.lim.Disks)
		}
		p.d.Disks = append(p.d.Disks, DiskElement{ID: a("diskId"), FileRef: a("fileRef"), Capacity: a("capacity"),
			Units: a("capacityAllocationUnits"), Format: a("format"), ParentRef: a("parentRef")})
	case p.under("VirtualSystem"):
		if p.d.system++; p.d.system > 1 {
			return p.invalid("VirtualSystem", p.d.system, "there is more than one virtual machine")
		}
		p.d.ID = a("id")
	case p.under("OperatingSystemSection", "VirtualSystem"):
		p.d.osID, p.d.osType = a("id"), a("osType")
	case p.under("Config", "VirtualHardwareSection", "VirtualSystem"):
		if key := a("key"); key == "firmware" {
			p.d.config[key] = a("value")
		}
	case p.under("Firmware", "Hardware"): // vbox:Machine
		p.d.config["firmware"] = a("type")
	case p.under("BootOrderSection", "VirtualSystem"):
		if a("type") == "disk" && len(p.d.boot) < maxItems {
			p.d.boot = append(p.d.boot, a("instanceId"))
		}
	case p.isItem(0):
		if len(p.d.items) >= maxItems {
			return p.tooLarge("devices", maxItems)
		}
		p.d.items = append(p.d.items, item{})
	}
	return nil
}

// isItem reports whether the element so far from the innermost is a device.
func (p *parser) isItem(from int) bool {
	n := len(p.path) - from
	if n < 2 || p.path[n-2] != "VirtualHardwareSection" {
		return false
	}
	switch p.path[n-1] {
	case "Item", "StorageItem", "EthernetPortItem": // the last two since OVF 2
		return true
	}
	return false
}

// end takes the end of an element, which the decoder has matched with its begin.
func (p *parser) end(name string) {
	text := strings.TrimSpace(p.text.String())
	switch {
	case p.under("Name", "VirtualSystem"):
		p.d.Name = text
	case p.isItem(1) && wanted(name):
		p.d.items[len(p.d.items)-1][name] = text
	}
	p.text.Reset()
	p.path = p.path[:len(p.path)-1]
}

// wanted reports whether a property of a device is looked at.
func wanted(name string) bool {
	switch name {
	case "InstanceID", "ResourceType", "ResourceSubType", "Parent", "AddressOnParent", "HostResource":
		return true
	}
	return false
}

// attribute returns an attribute by its local name: prefixes and namespaces differ
// between programs.
func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space != "xmlns" {
			return a.Value
		}
	}
	return ""
}

// finish checks the whole.
func (p *parser) finish() error {
	switch {
	case p.roots == 0:
		return p.invalid("Envelope", nil, "it has no element")
	case len(p.d.Disks) == 0:
		return p.invalid("DiskSection", nil, "it has no disk")
	}
	return nil
}
