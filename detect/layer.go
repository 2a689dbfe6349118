package detect

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"

	"ingest/formats"
	"ingest/unwrap/docker"
)

// layers returns the magics of outer layers.
func layers() []magic {
	layer := func(name formats.Name, what, tool string, find func(window) (int64, string, bool)) magic {
		c := claim{name: name, what: what, kind: layerKind, container: "compressed"}
		c.remedy = "Decompress it with `" + tool + "` and import the disk image inside it."
		return magic{c, find}
	}
	archive := func(name formats.Name, what, container, remedy string, find func(window) (int64, string, bool)) magic {
		return magic{claim{name: name, what: what, kind: layerKind, container: container, remedy: remedy}, find}
	}
	tars := []magic{
		archive("tar", "a tar archive", "", remedyUnpack, findTar(tarPlain)),
		archive("ova", "an OVA (a tar archive)", "ova", remedyOVA, findTar(tarOVA)),
		archive("docker", "a container image (a tar archive)", "docker", remedyDocker, findTar(tarDocker)),
	}
	for i := range tars {
		tars[i].plain = true
	}
	return append(tars,
		layer("gzip", "a gzip file", "gunzip", head(0, "\x1f\x8b\x08")),
		layer("xz", "an xz file", "unxz", head(0, "\xfd7zXZ\x00")),
		layer("zstd", "a zstd file", "unzstd", findZstd),
		layer("bzip2", "a bzip2 file", "bunzip2", findBzip2),
		layer("lz4", "an lz4 file", "unlz4", head(0, "\x04\x22\x4d\x18", "\x02\x21\x4c\x18")),
		layer("lzip", "an lzip file", "lzip -d", head(0, "LZIP\x01")),
		layer("lzop", "an lzop file", "lzop -d", head(0, "\x89LZO\x00\x0d\x0a\x1a\x0a")),
		archive("rar", "a RAR archive", "compressed", remedyUnpack, head(0, "Rar!\x1a\x07")),
		archive("zip", "a zip archive", "compressed", remedyUnpack, findZip),
		archive("7z", "a 7z archive", "compressed", remedyUnpack, head(0, "7z\xbc\xaf\x27\x1c")),
	)
}

// findZstd finds a frame, or a skippable frame in front of one (RFC 8878 3.1).
func findZstd(w window) (int64, string, bool) {
	if w.at(0, "\x28\xb5\x2f\xfd") {
		return 0, "\x28\xb5\x2f\xfd", true
	}
	if len(w.head) >= 4 && w.head[0]&0xf0 == 0x50 && w.at(1, "\x2a\x4d\x18") {
		return 0, string(w.head[:4]), true
	}
	return 0, "", false
}

// findBzip2 asks for the first block's magic too (pi, or the square root of pi
// in an empty file): three letters alone also begin ordinary text.
func findBzip2(w window) (int64, string, bool) {
	if !w.at(0, "BZh") || len(w.head) < 10 || w.head[3] < '1' || w.head[3] > '9' {
		return 0, "", false
	}
	ok := w.at(4, "\x31\x41\x59\x26\x53\x59") || w.at(4, "\x17\x72\x45\x38\x50\x90")
	return 0, string(w.head[:4]), ok
}

// findZip finds an archive by its first entry or by its end of central directory
// record, which a zip reader looks for from the end: so a zip may stand behind
// any other file. The record's comment must reach the end exactly.
func findZip(w window) (int64, string, bool) {
	for _, m := range []string{"PK\x03\x04", "PK\x05\x06", "PK\x07\x08"} {
		if w.at(0, m) {
			return 0, m, true
		}
	}
	const end = 22 // length of the record without its comment
	for p := w.tail; len(p) >= end; p = p[1:] {
		i := bytes.Index(p, []byte("PK\x05\x06"))
		if i < 0 {
			break
		}
		p = p[i:]
		if len(p) >= end && int(binary.LittleEndian.Uint16(p[20:])) == len(p)-end {
			return w.size - int64(len(p)), "PK\x05\x06", true
		}
	}
	return 0, "", false
}

type tarKind uint8

const (
	tarPlain tarKind = iota
	tarOVA
	tarDocker
)

// findTar finds a tar archive of the wanted kind: every tar is of one kind.
func findTar(want tarKind) func(window) (int64, string, bool) {
	return func(w window) (int64, string, bool) {
		value, ok := tarMagic(w)
		if !ok {
			return 0, "", false
		}
		got := tarKindOf(cString(w.head[:100]))
		return 257, value, got == want
	}
}

// tarMagic recognises a header by its magic, or by its checksum for the oldest
// form, which has none.
func tarMagic(w window) (string, bool) {
	if w.at(257, "ustar") {
		return "ustar", true
	}
	if len(w.head) < 512 || w.head[0] == 0 {
		return "", false
	}
	field := strings.Trim(cString(w.head[148:156]), " ")
	want, err := strconv.ParseInt(field, 8, 32)
	if err != nil {
		return "", false
	}
	sum := int64(0)
	for i, b := range w.head[:512] {
		if i >= 148 && i < 156 {
			b = ' '
		}
		sum += int64(b)
	}
	return "checksum " + field, sum == want
}

// tarKindOf judges by the first member's name: an OVA's is its descriptor
// (DSP0243 2.1), a container image's is as docker.Named says.
func tarKindOf(first string) tarKind {
	name := strings.ToLower(strings.TrimPrefix(first, "./"))
	switch {
	case strings.HasSuffix(name, ".ovf"):
		return tarOVA
	case docker.Named(name):
		return tarDocker
	}
	return tarPlain
}

// cString returns the bytes before the first NUL.
func cString(p []byte) string {
	if i := bytes.IndexByte(p, 0); i >= 0 {
		p = p[:i]
	}
	return string(p)
}
