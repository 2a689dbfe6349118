package replicate

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"io"
	"strings"

	"ingest/api/wire"
	"ingest/internal/errcode"
)

// maxTries is how often a download that breaks off without a byte is taken up again.
const maxTries = 5

// digestOf returns what an image's bytes are held against: the digest that its service
// keeps, or the MD5 of an image that is older than that.
func digestOf(img wire.Image) (sum hash.Hash, algo, want string, err error) {
	switch {
	case img.HashAlgo == "sha512" && img.HashValue != "":
		return sha512.New(), img.HashAlgo, strings.ToLower(img.HashValue), nil
	case img.HashAlgo == "sha384" && img.HashValue != "":
		return sha512.New384(), img.HashAlgo, strings.ToLower(img.HashValue), nil
	case img.HashAlgo == "sha256" && img.HashValue != "":
		return sha256.New(), img.HashAlgo, strings.ToLower(img.HashValue), nil
	case img.HashValue == "" && len(img.Checksum) == hex.EncodedLen(md5.Size):
		return md5.New(), "md5", strings.ToLower(img.Checksum), nil
	}
	return nil, "", "", errcode.New(errcode.Conflict, "the image has no digest that can be checked (os_hash_algo is %q)", errcode.Shown(img.HashAlgo))
}

// A checked is an image's bytes, of which it is known at their end whether they are. The
// last of them are not given out if they are not, so that whoever uploads them fails.
type checked struct {
	r     io.Reader
	img   wire.Image
	sum   hash.Hash
	algo  string
	want  string
	n     int64
	ended bool
}

func newChecked(r io.Reader, img wire.Image) (*checked, error) {
	sum, algo, want, err := digestOf(img)
	return &checked{r: r, img: img, sum: sum, algo: algo, want: want}, err
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.sum.Write(p[:n])
	c.n += int64(n)
	if c.n >= *c.img.Size {
		c.ended = true
		if bad := c.verdict(); bad != nil {
			return 0, bad
		}
	}
	return n, err
}

// verdict says whether all bytes were the image's.
func (c *checked) verdict() error {
	got := hex.EncodeToString(c.sum.Sum(nil))
	if c.n == *c.img.Size && got == c.want {
		return nil
	}
	return errcode.New(errcode.VerifyMismatch, "the bytes of image %s do not have its digest", c.img.ID).
		With(errcode.Evidence{Structure: "image " + c.img.ID, Field: c.algo, Value: got, Limit: c.want})
}

// fetch reads an image's bytes from a service. What breaks off is taken up where it broke:
// an active image's bytes never change, and the digest judges the whole.
func (o Options) fetch(ctx context.Context, from Service, img wire.Image) *download {
	return &download{ctx: ctx, from: from, img: img, progress: o.Progress}
}

type download struct {
	ctx      context.Context
	from     Service
	img      wire.Image
	progress func(int64)
	body     io.ReadCloser
	etag     string
	off      int64
	tries    int
}

func (d *download) Read(p []byte) (int, error) {
	for {
		if d.off >= *d.img.Size {
			return 0, io.EOF
		}
		err := d.open()
		if err == nil {
			var n int
			n, err = d.body.Read(p[:min(int64(len(p)), *d.img.Size-d.off)])
			if n > 0 {
				d.off, d.tries = d.off+int64(n), 0
				if d.progress != nil {
					d.progress(int64(n))
				}
				return n, nil
			}
			if err == nil {
				continue
			}
			d.Close()
			err = errcode.Wrap(err, errcode.ServerUnreachable, "the download of image %s broke off at byte %d", d.img.ID, d.off)
		}
		d.tries++
		if d.ctx.Err() != nil {
			return 0, d.ctx.Err()
		}
		if d.tries >= maxTries || !errcode.Lookup(errcode.Of(err)).Retryable {
			return 0, err
		}
	}
}

func (d *download) open() error {
	if d.body != nil {
		return nil
	}
	body, err := d.from.Download(d.ctx, d.img, d.off, d.etag)
	if err != nil {
		return err
	}
	d.body, d.etag = body, body.ETag
	return nil
}

// Close ends the download.
func (d *download) Close() error {
	if d.body == nil {
		return nil
	}
	err := d.body.Close()
	d.body = nil
	return err
}
