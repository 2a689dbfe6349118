package detect

import (
	"strings"

	"ingest/internal/binio"
)

// Contents are what stands on a raw disk. They are no formats: the same disk
// has them whatever file it is in.

// bootSignature reports whether the first sector ends as a boot sector does.
func bootSignature(w window) bool { return w.at(510, "\x55\xaa") }

// hasGPT reports whether a GPT header stands in the second sector.
func hasGPT(w window) bool { return w.at(512, "EFI PART") }

// partitioned reports whether the first sector holds an MBR partition table:
// all boot flags are valid and at least one entry is in use.
func partitioned(w window) bool {
	if !bootSignature(w) {
		return false
	}
	used := 0
	for entry := 446; entry < 510; entry += 16 {
		e := w.head[entry : entry+16]
		if e[0] != 0 && e[0] != 0x80 {
			return false
		}
		if e[4] != 0 && !binio.IsZero(e[12:16]) {
			used++
		}
	}
	return used > 0
}

// A signature is how a file system or similar shows itself in the head.
type signature struct {
	what  string
	off   int
	magic string
}

// signatures returns what is told apart on a disk without partitions.
func signatures() []signature {
	return []signature{
		{"NTFS", 3, "NTFS    "},
		{"exFAT", 3, "EXFAT   "},
		{"FAT12", 54, "FAT12   "},
		{"FAT16", 54, "FAT16   "},
		{"FAT32", 82, "FAT32   "},
		{"ext2/3/4", 1080, "\x53\xef"},
		{"XFS", 0, "XFSB"},
		{"btrfs", 65600, "_BHRfS_M"},
		{"squashfs", 0, "hsqs"},
		{"EROFS", 1024, "\xe2\xe1\xf5\xe0"},
		{"LVM2 physical volume", 0, "LABELONE"},
		{"LVM2 physical volume", 512, "LABELONE"},
		{"LVM2 physical volume", 1024, "LABELONE"},
		{"LVM2 physical volume", 1536, "LABELONE"},
		{"Linux swap", 4086, "SWAPSPACE2"},
		{"Linux kernel", 0x202, "HdrS"},
		{"cpio archive", 0, "070701"},
	}
}

// contents returns what is recognised on a raw disk, most telling first.
func contents(w window) []string {
	var out []string
	switch {
	case hasGPT(w):
		out = append(out, "GPT partition table")
	case w.at(4096, "EFI PART"):
		out = append(out, "GPT partition table with sectors of 4096 bytes")
	case w.fromEnd(512, "EFI PART"):
		out = append(out, "backup GPT without its primary")
	}
	if len(out) == 0 && partitioned(w) {
		out = append(out, "MBR partition table")
	}
	for _, s := range signatures() {
		if w.at(s.off, s.magic) {
			out = append(out, s.what)
		}
	}
	if len(out) == 0 && bootSignature(w) {
		out = append(out, "boot sector")
	}
	return out
}

// webPage reports whether the file begins as an HTML page: what a URL of a
// download page gives instead of the image.
func webPage(w window) bool {
	t := strings.TrimLeft(strings.TrimPrefix(w.text(textProbe), "\xef\xbb\xbf"), " \t\r\n")
	return strings.HasPrefix(t, "<!doctype html") || strings.HasPrefix(t, "<html")
}
