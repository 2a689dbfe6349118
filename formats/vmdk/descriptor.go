package vmdk

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"

	"ingest/internal/errcode"
)

const (
	monolithicSparse = "monolithicSparse"
	streamOptimized  = "streamOptimized"
)

// An extentFile is a line of the descriptor that names a file of the disk.
type extentFile struct {
	access  string // RW, RDONLY, NOACCESS
	sectors uint64
	kind    string // SPARSE, FLAT, ZERO, VMFS, ...
	name    string
	quoted  bool   // the name stands in quotation marks
	rest    string // what follows a quoted name: the offset in the file, sectors
	at      int64  // host offset of the line
}

// descriptor is what the text says that matters here.
type descriptor struct {
	createType string
	parentCID  string
	parentHint string
	version    string
	extents    []extentFile
}

// parseDescriptor reads the text up to its first NUL. Keywords are compared
// without case; a line that is none of comment, assignment or extent is an
// error. off is the text's host offset.
func parseDescriptor(text []byte, off int64) (*descriptor, error) {
	text, _, _ = bytes.Cut(text, []byte{0})
	d := &descriptor{}
	at := off
	for line := range bytes.Lines(text) {
		if err := d.line(strings.TrimSpace(string(line)), at); err != "" {
			return nil, place{"descriptor", "", at}.refuse(errcode.VMDKDescriptor, clip(string(line)), "", "%s", err)
		}
		at += int64(len(line))
	}
	return d, nil
}

// line takes one line in, which stood at host offset at, and returns what is
// wrong with it, or "".
func (d *descriptor) line(s string, at int64) string {
	if s == "" || s[0] == '#' {
		return ""
	}
	word, _, _ := strings.Cut(s, " ")
	switch strings.ToLower(word) {
	case "rw", "rdonly", "noaccess":
		return d.extent(s, at)
	}
	key, value, ok := strings.Cut(s, "=")
	if !ok {
		return "a line of the descriptor is neither comment, assignment nor extent"
	}
	value = strings.Trim(strings.TrimSpace(value), `"`)
	var field *string
	switch strings.ToLower(strings.TrimSpace(key)) {
	case "createtype":
		field = &d.createType
	case "parentcid":
		field = &d.parentCID
	case "parentfilenamehint":
		field = &d.parentHint
	case "version":
		field = &d.version
	default:
		return ""
	}
	if *field != "" && *field != value {
		return "the descriptor sets " + strings.TrimSpace(key) + " twice"
	}
	*field = value
	return ""
}

// extent takes in a line such as
//
//	RW 4192256 SPARSE "disk.vmdk"
func (d *descriptor) extent(s string, at int64) string {
	f := strings.Fields(s)
	if len(f) < 3 {
		return "an extent line has fewer than three words"
	}
	n, err := strconv.ParseUint(f[1], 10, 63)
	if err != nil {
		return "an extent line has no number of sectors"
	}
	e := extentFile{access: strings.ToUpper(f[0]), sectors: n, kind: strings.ToUpper(f[2]), at: at}
	if _, rest, ok := strings.Cut(s, `"`); ok {
		e.name, e.rest, ok = strings.Cut(rest, `"`)
		if !ok {
			return "an extent line has an open quotation mark"
		}
		e.quoted, e.rest = true, strings.TrimSpace(e.rest)
	} else if len(f) > 3 {
		e.name = f[3]
	}
	d.extents = append(d.extents, e)
	return ""
}

// check refuses every descriptor but that of a whole disk in the one file that
// holds it.
func (d *descriptor) check(off int64) error {
	in := func(field string) place { return place{"descriptor", field, off} }
	if err := d.checkParent(off); err != nil {
		return err
	}
	switch {
	case !strings.EqualFold(d.createType, monolithicSparse) && !strings.EqualFold(d.createType, streamOptimized):
		return in("createType").refuse(errcode.VMDKSubformat, clip(d.createType), monolithicSparse+" or "+streamOptimized,
			"createType %q cannot be read from one file", clip(d.createType))
	case !d.knownVersion():
		return d.versionError(off)
	case len(d.extents) == 0:
		return in("extent").refuse(errcode.VMDKDescriptor, nil, "", "the descriptor has no extent")
	case len(d.extents) > 1:
		return in("extent").refuse(errcode.VMDKExtentPath, len(d.extents), "1", "the disk is spread over %d extent files", len(d.extents))
	}
	e := d.extents[0]
	if e.kind != "SPARSE" {
		return in("extent").refuse(errcode.VMDKExtentPath, clip(e.kind), "SPARSE", "the disk's extent is of type %s, in another file", clip(e.kind))
	}
	if e.isPath() {
		return in("extent").refuse(errcode.VMDKExtentPath, clip(e.name), "a plain name", "the disk's extent file is named with a path")
	}
	return nil
}

// checkParent refuses deltas, and a descriptor that does not say what kind of
// disk it is of.
func (d *descriptor) checkParent(off int64) error {
	in := func(field string) place { return place{"descriptor", field, off} }
	switch {
	case d.parentCID != "" && !strings.EqualFold(d.parentCID, "ffffffff"):
		return in("parentCID").refuse(errcode.VMDKParent, clip(d.parentCID), "ffffffff", "the disk is a delta on parent %s", clip(d.parentCID))
	case d.parentHint != "":
		return in("parentFileNameHint").refuse(errcode.VMDKParent, clip(d.parentHint), "", "the disk names a parent")
	case d.createType == "":
		return in("createType").refuse(errcode.VMDKDescriptor, nil, "", "the descriptor has no createType")
	}
	return nil
}

func (d *descriptor) knownVersion() bool {
	return d.version == "" || d.version == "1" || d.version == "2" || d.version == "3"
}

func (d *descriptor) versionError(off int64) error {
	return place{"descriptor", "version", off}.refuse(errcode.VMDKDescriptor, clip(d.version), "1 to 3", "descriptor version %q", clip(d.version))
}

// isPath reports whether the file is named by more than its base name: with a
// folder, a drive or a device.
func (e *extentFile) isPath() bool { return strings.ContainsAny(e.name, `/\:`) }

// clip makes text of the image fit for messages and evidence: short, and
// without control characters.
func clip(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 80 {
		s = s[:80] + "..."
	}
	return printable(s)
}

// printable replaces every character that is not printable by a question mark.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
