package pipeline

import (
	"context"
	"encoding/hex"
	"io"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/stores"
)

// adoptBuffer is how much of an object is in memory while it is read, bytes.
const adoptBuffer = 1 << 20

// adopt is Copy for a store that takes no bytes: somebody else has put the object
// there, under the key that it has in one of the other stores. It is read to its end,
// and is the image's if it has its digest.
func (p *Pipeline) adopt(ctx context.Context, dst stores.Store, c contract.CopyParams, o Observe) (contract.Stored, error) {
	if c.HashValue == "" {
		return contract.Stored{}, errcode.New(errcode.Conflict, "image %s has no digest by which its bytes in store %s could be known", c.ImageID, dst.Name())
	}
	for _, from := range c.From {
		err := sameThere(ctx, dst, from.Key, c, o)
		if errcode.Of(err) == errcode.NotFound {
			continue
		}
		return contract.Stored{Store: dst.Name(), Key: from.Key, Location: Location(dst.Name(), from.Key)}, err
	}
	return contract.Stored{}, errcode.New(errcode.NotFound, "the server of store %s has none of the objects of image %s", dst.Name(), c.ImageID)
}

// sameThere reads an object and holds it against the digest.
func sameThere(ctx context.Context, dst stores.Store, key string, c contract.CopyParams, o Observe) error {
	info, err := dst.Stat(ctx, key)
	if err != nil {
		return err
	}
	sum, n := newHash(c.HashAlgo), int64(0)
	if info.Size == c.Size {
		r, err := dst.OpenRange(ctx, key, 0, -1)
		if err != nil {
			return err
		}
		defer r.Close()
		for buf := make([]byte, adoptBuffer); ; {
			k, err := r.Read(buf)
			sum.Write(buf[:k])
			n += int64(k)
			o(n, c.Size, nil)
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); info.Size != c.Size || n != c.Size || got != c.HashValue {
		return errcode.New(errcode.VerifyMismatch, "what store %s has under the key of image %s has %d bytes that are not the image's", dst.Name(), c.ImageID, info.Size).
			With(errcode.Evidence{Structure: "object", Field: c.HashAlgo, Value: got, Limit: c.HashValue})
	}
	return nil
}
