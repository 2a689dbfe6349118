package qcow2

import (
	"encoding/binary"
	"fmt"
	"io"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// Header extension types; section "Header extensions" of the specification.
const (
	extEnd           = 0x00000000
	extBackingFormat = 0xE2792ACA
	extLUKS          = 0x0537BE77
	extDataFile      = 0x44415441
)

// extensions are those that matter: what they name is reported, never opened.
type extensions struct {
	backingFormat bool
	luks          bool
	dataFile      bool
	dataFileName  string
	backingName   string
}

// readExtensions walks the header extensions. They end at the end marker, the
// backing file's name, or the end of the first cluster.
func readExtensions(r io.ReaderAt, size int64, h *header) (extensions, error) {
	var x extensions
	p := make([]byte, min(size, h.clusterSize()))
	if err := binio.ReadFull(r, p, 0); err != nil {
		return x, readError(err, "read header cluster", 0)
	}
	x.backingName = backingName(p, h)
	end := len(p)
	if h.backingOff > 0 && h.backingOff < uint64(end) {
		end = int(h.backingOff)
	}
	for at := int(h.length); at+8 <= end; {
		kind, n := binary.BigEndian.Uint32(p[at:]), binary.BigEndian.Uint32(p[at+4:])
		if kind == extEnd {
			break
		}
		if int64(n) > int64(end-at-8) {
			return x, errcode.New(errcode.QCOW2Header, "header extension %#x of %d bytes passes the first cluster", kind, n).
				With(limited(evidence("header extension", "length", int64(at+4), n), end-at-8))
		}
		switch kind {
		case extBackingFormat:
			x.backingFormat = true
		case extLUKS:
			x.luks = true
		case extDataFile:
			x.dataFile = true
			x.dataFileName = string(p[at+8 : at+8+int(n)])
		}
		at += 8 + int(n+7)/8*8
	}
	return x, nil
}

// backingName returns the backing file's name if it lies in the first cluster.
func backingName(p []byte, h *header) string {
	if h.backingOff >= uint64(len(p)) || h.backingOff == 0 || h.backingSize > maxNameBytes {
		return ""
	}
	end := min(int(h.backingOff)+int(h.backingSize), len(p))
	return string(p[h.backingOff:end])
}

// names lists the files that the image names.
func (x extensions) names() []string {
	var out []string
	for _, n := range []string{x.backingName, x.dataFileName} {
		if n != "" {
			out = append(out, n)
		}
	}
	return out
}

// refusal returns why the data of an image with a sound header are not read,
// nil if they are.
func refusal(h *header, x extensions) error {
	switch {
	case h.incompatible&featureDataFile != 0:
		return errcode.New(errcode.QCOW2DataFile, "the image keeps its data in the file %q", x.dataFileName).
			With(evidence("header", "incompatible_features", 72, hex(h.incompatible)))
	case x.dataFile:
		return errcode.New(errcode.QCOW2DataFile, "the image names the data file %q", x.dataFileName).
			With(evidence("header extension", "external data file name", int64(h.length), fmt.Sprintf("%q", x.dataFileName)))
	case h.autoclear&autoclearRawData != 0:
		return errcode.New(errcode.QCOW2DataFile, "the image declares a raw data file").
			With(evidence("header", "autoclear_features", 88, hex(h.autoclear)))
	case h.backingOff != 0:
		return errcode.New(errcode.QCOW2BackingFile, "the image names the backing file %q", x.backingName).
			With(evidence("header", "backing_file_offset", 8, h.backingOff))
	case h.backingSize != 0:
		return errcode.New(errcode.QCOW2BackingFile, "the image has a backing file name of %d bytes", h.backingSize).
			With(evidence("header", "backing_file_size", 16, h.backingSize))
	case x.backingFormat:
		return errcode.New(errcode.QCOW2BackingFile, "the image declares the format of a backing file").
			With(evidence("header extension", "backing file format", int64(h.length), hex(extBackingFormat)))
	case h.crypt != 0:
		return errcode.New(errcode.QCOW2Encrypted, "the image is encrypted (method %d)", h.crypt).
			With(evidence("header", "crypt_method", 32, h.crypt))
	case x.luks:
		return errcode.New(errcode.QCOW2Encrypted, "the image has a LUKS header").
			With(evidence("header extension", "full disk encryption header", int64(h.length), hex(extLUKS)))
	case h.incompatible&featureCorrupt != 0:
		return errcode.New(errcode.QCOW2Corrupt, "the image is marked as corrupt").
			With(evidence("header", "incompatible_features", 72, hex(h.incompatible)))
	}
	return nil
}

// remarks are what is worth telling about a readable header.
func remarks(h *header) []formats.Finding {
	var out []formats.Finding
	if h.incompatible&featureDirty != 0 {
		out = append(out, formats.Note(errcode.QCOW2Dirty, formats.SeverityWarning, "the image was not closed cleanly",
			evidence("header", "incompatible_features", 72, hex(h.incompatible))))
	}
	if h.snapshots > 0 {
		out = append(out, formats.Note(errcode.QCOW2Snapshots, formats.SeverityInfo,
			fmt.Sprintf("the image holds %d internal snapshots, which are left behind", h.snapshots),
			evidence("header", "nb_snapshots", 60, h.snapshots)))
	}
	if h.size%512 != 0 {
		out = append(out, formats.Note(errcode.SizeUnaligned, formats.SeverityWarning,
			fmt.Sprintf("virtual size of %d bytes is not a whole number of sectors", h.size),
			evidence("header", "size", 24, h.size)))
	}
	return out
}
