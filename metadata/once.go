package metadata

import (
	"context"
	"encoding/json"
	"time"

	"ingest/internal/errcode"
)

// Bounds of the memory of idempotency keys of requests that make no task; tasks keep
// theirs as long as they are kept.
const (
	// OnceTTL is how long a key is remembered.
	OnceTTL = 24 * time.Hour
	// OnceMost is how many keys of one project are remembered. The oldest ones make room.
	OnceMost = 10_000
)

// A Once is what came of the first request under an idempotency key.
type Once struct {
	Owner     string
	Key       string          // unique for an owner
	Request   string          // digest of what was asked for
	Answer    json.RawMessage // what was made, as it was then
	CreatedAt time.Time
}

// OnceTx is what a transaction can do with idempotency keys.
type OnceTx interface {
	// Once returns errcode.NotFound for a key that was not used.
	Once(ctx context.Context, owner, key string) (Once, error)
	// PutOnce fails if the owner has used the key.
	PutOnce(ctx context.Context, o Once) error
	// TrimOnce removes all that are older than before, and those of the owner beyond
	// the keep youngest.
	TrimOnce(ctx context.Context, before time.Time, owner string, keep int) error
}

// CreateImageOnce is CreateImage for a request with an idempotency key of o.Owner: the
// same request again makes no image, and returns the first one as it was when it was
// made, with again true. Another request under the key is errcode.IdempotencyReuse.
// Without a key it is CreateImage.
func (c *Catalogue) CreateImageOnce(ctx context.Context, img Image, o Once) (made Image, again bool, err error) {
	if o.Key == "" {
		made, err = c.CreateImage(ctx, img)
		return made, false, err
	}
	type outcome struct {
		img   Image
		again bool
	}
	out, err := update(ctx, c, func(tx Tx) (outcome, error) {
		now := c.moment()
		before := now.Add(-OnceTTL)
		switch old, err := tx.Once(ctx, o.Owner, o.Key); {
		case err == nil && !old.CreatedAt.Before(before):
			first, err := old.image(o)
			return outcome{first, true}, err
		case err != nil && !isNotFound(err):
			return outcome{}, err
		}
		made, err := c.addImage(ctx, tx, img)
		if err != nil {
			return outcome{}, err
		}
		if err := tx.TrimOnce(ctx, before, o.Owner, OnceMost-1); err != nil {
			return outcome{}, err
		}
		o.CreatedAt = now
		if o.Answer, err = json.Marshal(made); err != nil {
			return outcome{}, errcode.Wrap(err, errcode.Internal, "write image of idempotency key")
		}
		return outcome{made, false}, tx.PutOnce(ctx, o)
	})
	return out.img, out.again, err
}

// image returns what the first request has made, if again asks for the same.
func (o Once) image(again Once) (Image, error) {
	if o.Request != again.Request {
		return Image{}, errcode.New(errcode.IdempotencyReuse, "idempotency key %q was used for a request that differs", o.Key).
			With(errcode.Evidence{Structure: "request", Field: "Idempotency-Key", Value: o.Key})
	}
	var img Image
	if err := json.Unmarshal(o.Answer, &img); err != nil {
		return Image{}, errcode.Wrap(err, errcode.Internal, "read image of idempotency key %q", o.Key)
	}
	return img, nil
}
