package s3

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"ingest/exports"
	"ingest/internal/errcode"
)

// A Place is an object of a service.
type Place struct {
	Client      *s3.Client
	Bucket, Key string
}

// Options say where a Driver may send to.
type Options struct {
	// Buckets are those that may be written to.
	Buckets []string
	// Connect finds the service of a destination, as the destination's credential.
	Connect func(ctx context.Context, d exports.Destination) (Place, error)
	// PartSize is the smallest part, bytes; 0 means 8 MiB.
	PartSize int64
}

// A Driver exports to buckets.
type Driver struct{ o Options }

var _ exports.Driver = (*Driver)(nil)

// New returns a driver.
func New(o Options) *Driver {
	if o.PartSize <= 0 {
		o.PartSize = smallPart
	}
	return &Driver{o}
}

// Schemes returns the one scheme.
func (d *Driver) Schemes() []string { return []string{"s3"} }

// taskKey is the metadata that tells which task has made an object.
const taskKey = "ingest-task"

// A memory is what another attempt is opened with.
type memory struct {
	UploadID string `json:"upload_id"`
	Part     int64  `json:"part"` // size of a part, bytes
}

// Open looks whether the object is there already.
func (d *Driver) Open(ctx context.Context, to exports.Destination, kept []byte) (exports.Target, error) {
	at, err := d.o.Connect(ctx, to)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(d.o.Buckets, at.Bucket) {
		return nil, errcode.New(errcode.DestinationOutside, "the bucket is not one that may be exported to").
			With(errcode.Evidence{Structure: "request", Field: "destination.url", Value: errcode.Shown(at.Bucket)})
	}
	o := &object{Place: at, smallest: d.o.PartSize, task: to.Task, force: to.Overwrite}
	if len(kept) > 0 && json.Unmarshal(kept, &o.memory) != nil {
		o.memory = memory{}
	}
	head, err := o.Client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &o.Bucket, Key: &o.Key})
	switch {
	case err == nil && head.Metadata[taskKey] == to.Task:
		o.mine, o.size = true, aws.ToInt64(head.ContentLength)
	case err == nil && !to.Overwrite:
		return nil, o.exist()
	case err != nil && !isMissing(err):
		return nil, serviceError(err, "look at", o.Shown())
	}
	return o, nil
}

func (o *object) exist() error {
	return errcode.New(errcode.DestinationExist, "%s exists", errcode.Shown(o.Shown())).
		With(errcode.Evidence{Structure: "destination", Field: "key", Value: errcode.Shown(o.Key)})
}

// isMissing reports whether there is no such object, or no such upload.
func isMissing(err error) bool {
	return hasCode(err, "NoSuchKey", "NotFound", "NoSuchUpload") && !hasCode(err, "NoSuchBucket")
}

func hasCode(err error, codes ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode())
}

func hasStatus(err error, codes ...int) bool {
	var resp *awshttp.ResponseError
	return errors.As(err, &resp) && slices.Contains(codes, resp.HTTPStatusCode())
}

// serviceError gives a failure of the service its code; its own words stay in the log.
func serviceError(err error, doing, shown string) error {
	if _, ok := errcode.As(err); ok || err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	switch {
	case hasCode(err, "NoSuchBucket"):
		return errcode.Wrap(err, errcode.DestinationMissing, "there is no bucket for %s", errcode.Shown(shown))
	case hasStatus(err, http.StatusUnauthorized, http.StatusForbidden):
		return errcode.Wrap(err, errcode.DestinationAuth, "the service refuses to %s %s", doing, errcode.Shown(shown))
	case hasStatus(err, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusNotImplemented):
		return errcode.Wrap(err, errcode.DestinationAuth, "the service does not take the request to %s %s", doing, errcode.Shown(shown))
	}
	return errcode.Wrap(err, errcode.DestinationUnreachable, "%s %s", doing, errcode.Shown(shown))
}
