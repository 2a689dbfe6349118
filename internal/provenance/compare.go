package provenance

import (
	"strconv"

	"ingest/internal/errcode"
)

// Facts are what the catalogue says of an image. Sizes are bytes, -1 if unknown.
type Facts struct {
	ImageID             string
	Size, VirtualSize   int64
	HashAlgo, HashValue string
	MD5                 string
	ContentDigest       string
}

// A Comparison is one fact in the record and in the catalogue.
type Comparison struct {
	Name      string `json:"name"`
	Record    string `json:"record"`
	Catalogue string `json:"catalogue"`
	Same      bool   `json:"same"`
}

// Compare holds a record against the catalogue. The error is that of the first
// difference, errcode.ProvenanceMismatch; the list is whole in any case.
func (d Document) Compare(f Facts) ([]Comparison, error) {
	s, img := d.Statement.Subject[0], d.Statement.Predicate.Image
	all := []Comparison{
		{Name: "image", Record: s.Name, Catalogue: f.ImageID},
		{Name: f.HashAlgo, Record: s.Digest[f.HashAlgo], Catalogue: f.HashValue},
		{Name: "size", Record: strconv.FormatInt(img.Size, 10), Catalogue: strconv.FormatInt(f.Size, 10)},
		{Name: "virtual size", Record: strconv.FormatInt(img.VirtualSize, 10), Catalogue: strconv.FormatInt(f.VirtualSize, 10)},
	}
	// A file that was stored as it is has none.
	if f.ContentDigest != "" || img.ContentDigest != "" {
		all = append(all, Comparison{Name: "content digest", Record: img.ContentDigest, Catalogue: f.ContentDigest})
	}
	if f.MD5 != "" || s.Digest["md5"] != "" {
		all = append(all, Comparison{Name: "md5", Record: s.Digest["md5"], Catalogue: f.MD5})
	}
	var first error
	for i := range all {
		c := &all[i]
		c.Same = c.Record == c.Catalogue && c.Record != ""
		if !c.Same && first == nil {
			first = mismatch(c.Name, c.Catalogue, c.Record)
		}
	}
	return all, first
}

// CompareBytes holds a digest that was taken of the image's stored bytes against the
// record, in hex and by the record's own algorithm.
func (d Document) CompareBytes(algo, value string) error {
	if want := d.Statement.Subject[0].Digest[algo]; want != value || want == "" {
		return mismatch(algo+" of the bytes", value, want)
	}
	return nil
}

func mismatch(name, is, record string) error {
	return errcode.New(errcode.ProvenanceMismatch, "the provenance record is not that of the image: %s differs", name).
		With(errcode.Evidence{Structure: "provenance", Field: name, Value: is, Limit: record})
}
