package detect

import (
	"strings"

	"ingest/formats"
	"ingest/internal/errcode"
)

// The parts of a machine in Amazon's oldest form: its root file system (AMI),
// the kernel (AKI) and the ramdisk (ARI) that boot it. They have no magic: a
// file is one of them because it is declared to be.
const (
	AMI formats.Name = "ami"
	AKI formats.Name = "aki"
	ARI formats.Name = "ari"
)

// Docker is a container image, which is kept as it is: Glance calls it raw, in the
// container "docker".
const Docker formats.Name = "docker"

// Opaque reports whether a format is one of AMI, AKI and ARI: bytes that are
// kept as they are and under their own name, which is the container format too.
func Opaque(n formats.Name) bool { return n == AMI || n == AKI || n == ARI }

// mayBeCompressed reports whether files of a format are compressed by nature: a
// kernel unpacks itself and its ramdisk, while a disk or a root file system that
// is compressed is no disk.
func mayBeCompressed(n formats.Name) bool { return n == AKI || n == ARI }

// carries reports whether a claim is the compression that a file of the format
// is allowed to have.
func carries(n formats.Name, c claim) bool {
	if !mayBeCompressed(n) || c.kind != layerKind {
		return false
	}
	switch c.name {
	case "gzip", "xz", "zstd", "bzip2", "lz4": // what Linux unpacks at boot
		return true
	}
	return false
}

// An opaque is a raw disk under the name that was declared.
type opaque struct {
	formats.Disk
	name formats.Name
}

// Info returns the raw disk's, without what is odd for disks only: kernels and
// ramdisks are not made of sectors.
func (o opaque) Info() formats.Info {
	info := o.Disk.Info()
	info.Format = o.name
	if !mayBeCompressed(o.name) {
		return info
	}
	var kept []formats.Finding
	for _, f := range info.Findings {
		if f.Code != errcode.SizeUnaligned {
			kept = append(kept, f)
		}
	}
	info.Findings = kept
	return info
}

// parts returns how the content of a kernel or a ramdisk shows itself. The
// places are those of the Linux boot protocols (x86: HdrS; arm64: ARM\x64), of
// the ELF specification and of the kernel's initramfs buffer format.
func parts(n formats.Name) []signature {
	packed := []signature{
		{"gzip", 0, "\x1f\x8b\x08"},
		{"xz", 0, "\xfd7zXZ\x00"},
		{"zstd", 0, "\x28\xb5\x2f\xfd"},
		{"bzip2", 0, "BZh"},
		{"lz4", 0, "\x04\x22\x4d\x18"},
		{"lz4", 0, "\x02\x21\x4c\x18"},
	}
	if n == AKI {
		return append([]signature{
			{"Linux kernel (HdrS)", 0x202, "HdrS"},
			{"Linux kernel (arm64)", 0x38, "ARM\x64"},
			{"ELF program", 0, "\x7fELF"},
		}, packed...)
	}
	return append([]signature{
		{"cpio archive", 0, "070701"},
		{"cpio archive with checksums", 0, "070702"},
	}, packed...)
}

// noteParts tells what is recognised of a kernel or a ramdisk. It never refuses.
func (in *inspection) noteParts(n formats.Name) {
	ev := errcode.Evidence{Format: string(n), Structure: "first bytes", Field: "magic", Offset: errcode.At(0), Value: quote(in.w.head[:min(8, len(in.w.head))])}
	what := map[formats.Name]string{AKI: "kernel", ARI: "ramdisk"}[n]
	var found []string
	for _, s := range parts(n) {
		if !in.w.at(s.off, s.magic) {
			continue
		}
		if len(found) == 0 {
			ev.Offset, ev.Value = errcode.At(int64(s.off)), quote([]byte(s.magic))
		}
		found = append(found, s.what)
	}
	severity, message := formats.SeverityInfo, "the "+what+" begins as: "+strings.Join(found, ", ")
	if len(found) == 0 {
		severity, message = formats.SeverityWarning, "nothing of a "+what+" is recognised, it is taken as declared"
	}
	in.report.Findings = append(in.report.Findings, formats.Note(errcode.Contents, severity, message, ev))
}
