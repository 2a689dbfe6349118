package detect

import (
	"fmt"

	"ingest/formats"
	"ingest/internal/errcode"
)

// NestedCheck looks for a format's magic in the first and last bytes that the
// guest sees, as a program would that takes the converted disk for a file to
// recognise. Each is returned as a warning with the code IMG_NESTED_FORMAT or
// IMG_LUKS_UNDECLARED: whether that refuses the image is the caller's policy.
// Partition tables, file systems and ISO images are what disks are made of, and
// are not findings; nor is what a kernel or a ramdisk (AKI, ARI) is packed with, nor
// the archive that a container image (Docker) is. An error means that the disk could
// not be read.
func NestedCheck(disk formats.Disk) ([]formats.Finding, error) {
	w, err := guestWindow(disk)
	if err != nil {
		return nil, coded(err, "read the guest's first and last bytes")
	}
	claims, err := New(nil).claims(w)
	if err != nil {
		return nil, err
	}
	var out []formats.Finding
	for _, c := range claims {
		if c.kind == isoKind || c.kind == volumeKind || carries(disk.Info().Format, c) || isArchive(disk.Info().Format, c) {
			continue
		}
		out = append(out, nestedFinding(c))
	}
	return out, nil
}

// isArchive reports whether a claim is the archive that a container image is.
func isArchive(n formats.Name, c claim) bool {
	return n == Docker && (c.name == Docker || c.name == "tar")
}

// guestWindow reads the parts of a disk that formats are recognised by; holes
// are not read.
func guestWindow(disk formats.Disk) (w window, err error) {
	size := disk.Size()
	w = window{size: size, head: make([]byte, min(size, formats.HeadLen)), tail: make([]byte, min(size, formats.TailLen))}
	err = guard("guest", func() error {
		if _, err := formats.ReadData(disk, w.head, 0); err != nil {
			return err
		}
		_, err := formats.ReadData(disk, w.tail, size-int64(len(w.tail)))
		return err
	})
	return w, err
}

func nestedFinding(c claim) formats.Finding {
	code, message := errcode.NestedFormat, fmt.Sprintf("the guest's own bytes are %s", c.what)
	if c.kind == luksKind {
		code, message = errcode.LUKSUndeclared, "the guest's whole disk is a LUKS volume"
	}
	ev := c.evidence("")
	ev.Structure = "guest bytes"
	return formats.Note(code, formats.SeverityWarning, message, ev)
}
