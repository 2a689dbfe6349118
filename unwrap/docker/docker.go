package docker

import (
	"fmt"
	"io"
	"strings"

	"ingest/formats"
	"ingest/internal/errcode"
	"ingest/unwrap/archive"
)

// Limits bound what a container image may hold. The zero value allows nothing.
type Limits struct {
	// Members is how many members the archive may have. An image has up to 127
	// layers, with four members each in the oldest layout.
	Members int
	// NameBytes is the longest path in the archive.
	NameBytes int
	// JSONBytes is the largest file that says what the image is, bytes.
	JSONBytes int64
	// LayerMembers is how many members all layers may have together.
	LayerMembers int
	// PathBytes is the longest path, and the longest target of a link, in a layer:
	// Linux's PATH_MAX.
	PathBytes int
}

// DefaultLimits returns limits that fit honest images.
func DefaultLimits() Limits {
	return Limits{Members: 1024, NameBytes: 255, JSONBytes: 1 << 20, LayerMembers: 1 << 20, PathBytes: 4096}
}

// The files that say what an image is.
const (
	manifestFile     = "manifest.json"
	repositoriesFile = "repositories"
	indexFile        = "index.json"
	layoutFile       = "oci-layout"
)

// digestHex is the length of SHA-256 in hex.
const digestHex = 64

// Named reports whether a tar file whose first entry has this name is a container
// image: a blob, one of the files that say what it is, or a layer or a configuration
// by its digest.
func Named(first string) bool {
	switch first {
	case manifestFile, repositoriesFile, indexFile, layoutFile, "blobs":
		return true
	}
	if strings.HasPrefix(first, "blobs/") {
		return true
	}
	if len(first) <= digestHex || !isHex(first[:digestHex]) {
		return false
	}
	rest := first[digestHex:]
	return rest == ".json" || rest == ".tar" || rest[0] == '/'
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

// An Unpack takes a compression off a layer: it returns what is within, or false if
// the head shows none.
type Unpack func(r io.Reader, head []byte) (io.Reader, bool, error)

// An Image is a container image, or several in one archive.
type Image struct {
	Layout string // "docker", "oci" or "docker-v1"
	Images int    // how many the archive names
	Layers int    // how many of them, each counted once
	Size   int64  // of the archive, bytes

	lim     Limits
	output  int64 // most bytes that all layers may hold
	unpack  Unpack
	entries []archive.Entry
	byName  map[string]*archive.Entry
	layers  map[string]bool // names of entries that are layers
}

// Open reads the structure of an image and not its layers. output is the most bytes
// that all layers together may hold.
func Open(r io.ReaderAt, size int64, lim Limits, output int64, unpack Unpack) (*Image, error) {
	entries, err := archive.Tree(r, size, archive.Limits{Members: lim.Members, NameBytes: lim.NameBytes})
	if err != nil {
		return nil, err
	}
	img := &Image{Size: size, lim: lim, output: output, unpack: unpack, entries: entries, byName: map[string]*archive.Entry{}, layers: map[string]bool{}}
	for i := range entries {
		img.byName[entries[i].Name] = &entries[i]
	}
	switch {
	case img.has(manifestFile):
		img.Layout, err = "docker", img.manifest()
	case img.has(indexFile) && img.has(layoutFile):
		img.Layout = "oci"
	case img.has(repositoriesFile):
		img.Layout, err = "docker-v1", img.repositories()
	default:
		err = img.layout("members", "", nil, manifestFile, "there is no manifest.json, no index.json with oci-layout, and no repositories")
	}
	// docker save writes both layouts into one archive.
	if err == nil && img.has(indexFile) && img.has(layoutFile) {
		err = img.index()
	}
	if err != nil {
		return nil, err
	}
	img.Layers = len(img.layers)
	return img, nil
}

// has reports whether there is an entry of the name.
func (img *Image) has(name string) bool { return img.byName[name] != nil }

// file returns the regular file that a name stands for, nil if there is none.
func (img *Image) file(name string) *archive.Entry {
	e := img.byName[strings.TrimPrefix(name, "./")]
	if e != nil && e.Link != "" {
		e = img.byName[e.Link]
	}
	if e == nil || e.Folder {
		return nil
	}
	return e
}

// layout refuses an image whose files do not fit together.
func (img *Image) layout(structure, field string, value any, limit, format string, args ...any) error {
	if s, ok := value.(string); ok {
		value = archive.Clip(s)
	}
	return formats.Place{Format: "docker", Structure: structure, Field: field, Off: -1}.
		Refuse(errcode.DockerLayout, value, limit, "container image: %s: %s", structure, fmt.Sprintf(format, args...))
}
