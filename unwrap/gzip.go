package unwrap

import (
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// A gzipReader reads members one by one, so that what stands between and behind
// them is seen. Names and comments in the headers are ignored.
type gzipReader struct {
	in *input
	gz *gzip.Reader
}

// Read decompresses.
func (g *gzipReader) Read(p []byte) (int, error) {
	if g.gz == nil {
		var err error
		if g.gz, err = gzip.NewReader(g.in.Reader); err != nil {
			return 0, noEOF(err)
		}
		g.gz.Multistream(false)
	}
	n, err := g.gz.Read(p)
	if err != io.EOF {
		return n, err
	}
	again, err := g.in.next(func(p []byte) bool { return strings.HasPrefix(string(p), magicGzip) })
	if again {
		if err = g.gz.Reset(g.in.Reader); err == nil {
			g.gz.Multistream(false)
		}
		err = noEOF(err)
	}
	return n, err
}
