package config

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

// Exports says where images may be sent to.
type Exports struct {
	Roots   []string // folders below which files may be written
	Buckets []string // that objects may be written to, with a credential of type s3
	Put     bool     // to web servers, within the rules for addresses of sources

	roots, buckets string
}

func (e *Exports) flags(f *pflag.FlagSet) {
	f.StringVar(&e.roots, "export-roots", "", "folders below which images may be exported to files, DIR[:DIR] (default none)")
	f.StringVar(&e.buckets, "export-buckets", "", "S3 buckets that images may be exported to, BUCKET[,BUCKET] (default none)")
	f.BoolVar(&e.Put, "export-put", true, "images may be exported to web servers by PUT, at the addresses that sources may be read from")
}

// check parses the lists.
func (e *Exports) check() error {
	e.Roots, e.Buckets = nil, nil
	for _, root := range filepath.SplitList(e.roots) {
		abs, err := filepath.Abs(root)
		if err != nil {
			return err
		}
		if st, err := os.Stat(abs); err != nil || !st.IsDir() {
			return bad("--export-roots", root, "is not a folder")
		}
		e.Roots = append(e.Roots, abs)
	}
	for _, bucket := range strings.FieldsFunc(e.buckets, func(r rune) bool { return r == ',' }) {
		e.Buckets = append(e.Buckets, strings.TrimSpace(bucket))
	}
	return nil
}
