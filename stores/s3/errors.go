package s3

import (
	"context"
	"errors"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"ingest/internal/errcode"
)

// status returns the HTTP status of a failed request, 0 if there was no answer.
func status(err error) int {
	var re *awshttp.ResponseError
	if errors.As(err, &re) {
		return re.HTTPStatusCode()
	}
	return 0
}

// apiCode returns the service's code of an error, "" if it gave none.
func apiCode(err error) string {
	var ae smithy.APIError
	if errors.As(err, &ae) {
		return ae.ErrorCode()
	}
	return ""
}

func isMissing(err error) bool {
	return status(err) == http.StatusNotFound || apiCode(err) == "NoSuchKey" || apiCode(err) == "NoSuchUpload"
}

// isPrecondition reports whether a condition did not hold. 409 is the answer
// to two conditional writes at once.
func isPrecondition(err error) bool {
	switch status(err) {
	case http.StatusPreconditionFailed, http.StatusConflict:
		return true
	}
	return false
}

func isNotImplemented(err error) bool {
	return status(err) == http.StatusNotImplemented || apiCode(err) == "NotImplemented"
}

// storeError gives a failure of the service its code. The service's own text may
// name keys and hosts, and stays in the wrapped error, for the log.
func storeError(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	if _, ok := errcode.As(err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	switch apiCode(err) {
	case "QuotaExceeded", "XMinioStorageFull", "EntityTooLarge", "InsufficientStorage", "XMinioAdminBucketQuotaExceeded":
		return errcode.Wrap(err, errcode.NoSpace, format, args...)
	}
	if status(err) == http.StatusInsufficientStorage {
		return errcode.Wrap(err, errcode.NoSpace, format, args...)
	}
	return errcode.Wrap(err, errcode.StoreUnavailable, format, args...)
}
