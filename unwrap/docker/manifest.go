package docker

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ingest/formats"
	"ingest/internal/binio"
)

// read decodes one of the files that say what the image is.
func (img *Image) read(name string, into any) error {
	e := img.file(name)
	if e == nil {
		return img.layout(name, "", nil, "a regular file", "it is no file")
	}
	if e.Size > img.lim.JSONBytes {
		return img.layout(name, "size", e.Size, fmt.Sprint(img.lim.JSONBytes, " bytes"), "it has %d bytes", e.Size)
	}
	p := make([]byte, e.Size)
	if err := binio.ReadFull(e.Section(), p, 0); err != nil {
		return formats.Place{Format: "docker", Structure: name, Off: e.Off}.Unread(err)
	}
	if err := json.Unmarshal(p, into); err != nil {
		return img.layout(name, "", nil, "JSON", "it cannot be read as JSON of its kind")
	}
	return nil
}

// manifest reads manifest.json: for each image its configuration and layers.
func (img *Image) manifest() error {
	var images []struct {
		Config string
		Layers []string
	}
	if err := img.read(manifestFile, &images); err != nil {
		return err
	}
	if len(images) == 0 {
		return img.layout(manifestFile, "", 0, "an image", "it names no image")
	}
	for _, one := range images {
		if img.file(one.Config) == nil {
			return img.layout(manifestFile, "Config", one.Config, "a file of the archive", "the configuration is not in the archive")
		}
		if err := img.addLayers(manifestFile, one.Layers); err != nil {
			return err
		}
	}
	img.Images = len(images)
	return nil
}

// addLayers notes layers, each of which is a file of the archive.
func (img *Image) addLayers(structure string, names []string) error {
	for _, name := range names {
		e := img.file(name)
		if e == nil {
			return img.layout(structure, "Layers", name, "a file of the archive", "a layer is not in the archive")
		}
		img.layers[e.Name] = true
	}
	return nil
}

// repositories reads the layout of version 1: names and tags of images, each a
// folder with a layer and the description that names its parent.
func (img *Image) repositories() error {
	var repos map[string]map[string]string
	if err := img.read(repositoriesFile, &repos); err != nil {
		return err
	}
	done := map[string]bool{}
	for _, tags := range repos {
		for _, tag := range slices.Sorted(maps.Keys(tags)) {
			img.Images++
			if err := img.chain(tags[tag], done); err != nil {
				return err
			}
		}
	}
	if img.Images == 0 {
		return img.layout(repositoriesFile, "", 0, "an image", "it names no image")
	}
	return nil
}

// chain notes the layers of an image of version 1, from the youngest to the oldest.
// It ends at a layer that is done, and adds to those: many tags may name one chain,
// which is read once.
func (img *Image) chain(id string, done map[string]bool) error {
	seen := map[string]bool{}
	defer func() { maps.Copy(done, seen) }()
	for id != "" && !done[id] {
		if seen[id] {
			return img.layout("json", "parent", id, "a chain that ends", "an image is its own ancestor")
		}
		seen[id] = true
		if len(id) != digestHex || !isHex(id) {
			return img.layout(repositoriesFile, "id", id, "64 hexadecimal digits", "an image has no identifier")
		}
		var one struct {
			Parent string `json:"parent"`
		}
		if err := img.read(id+"/json", &one); err != nil {
			return err
		}
		if err := img.addLayers(id+"/json", []string{id + "/layer.tar"}); err != nil {
			return err
		}
		id = one.Parent
	}
	return nil
}

// A descriptor points to a blob (OCI Image Format Specification, "Content
// Descriptors").
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// index reads index.json, and the manifests that it names.
func (img *Image) index() error {
	var layout struct {
		Version string `json:"imageLayoutVersion"`
	}
	var index struct {
		Manifests []descriptor `json:"manifests"`
	}
	if err := img.read(layoutFile, &layout); err != nil {
		return err
	}
	if layout.Version != "1.0.0" {
		return img.layout(layoutFile, "imageLayoutVersion", layout.Version, "1.0.0", "the version is not known")
	}
	if err := img.read(indexFile, &index); err != nil {
		return err
	}
	if len(index.Manifests) == 0 {
		return img.layout(indexFile, "manifests", 0, "an image", "it names no image")
	}
	if img.Images == 0 {
		img.Images = len(index.Manifests)
	}
	done := map[string]bool{}
	for _, d := range index.Manifests {
		if err := img.ociManifest(d, done); err != nil {
			return err
		}
	}
	return nil
}

// ociManifest reads a manifest that the index names. What it does not know, such as
// an index of several platforms of which one was saved, is only a blob. Many tags may
// name one manifest, which is read once: done holds the names of those that were.
func (img *Image) ociManifest(d descriptor, done map[string]bool) error {
	name, err := img.blob(indexFile, d)
	if err != nil {
		return err
	}
	if !strings.HasSuffix(d.MediaType, ".image.manifest.v1+json") && !strings.HasSuffix(d.MediaType, ".distribution.manifest.v2+json") || done[name] {
		return nil
	}
	done[name] = true
	var one struct {
		Config descriptor   `json:"config"`
		Layers []descriptor `json:"layers"`
	}
	if err := img.read(name, &one); err != nil {
		return err
	}
	if _, err := img.blob(name, one.Config); err != nil {
		return err
	}
	for _, l := range one.Layers {
		blob, err := img.blob(name, l)
		if err != nil {
			return err
		}
		// Other kinds, such as attestations, are blobs.
		if strings.Contains(l.MediaType, ".image.layer.") || strings.Contains(l.MediaType, ".image.rootfs.diff.tar") {
			img.layers[blob] = true
		}
	}
	return nil
}

// blob returns the name of the blob that a descriptor points to.
func (img *Image) blob(structure string, d descriptor) (string, error) {
	algo, hex, _ := strings.Cut(d.Digest, ":")
	name := "blobs/" + algo + "/" + hex
	e := img.file(name)
	switch {
	case e == nil || e.Name != name: // a link's name is not the digest of what it leads to
		return "", img.layout(structure, "digest", d.Digest, "a blob of the archive", "a blob is not in the archive")
	case e.Size != d.Size:
		return "", img.layout(structure, "size", d.Size, fmt.Sprint(e.Size), "a blob has another size than is said")
	}
	return e.Name, nil
}
