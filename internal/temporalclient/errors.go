package temporalclient

import (
	"errors"

	"go.temporal.io/api/serviceerror"

	"ingest/internal/errcode"
)

// notYetError marks an error that goes away once caches are refreshed.
type notYetError struct{ error }

// Unwrap returns the service's own error.
func (e notYetError) Unwrap() error { return e.error }

func isNotFound(err error) bool {
	var a *serviceerror.NamespaceNotFound
	var b *serviceerror.NotFound
	return errors.As(err, &a) || errors.As(err, &b)
}

// isUnready reports whether the service does not know the namespace or an
// attribute of a query.
func isUnready(err error) bool {
	var invalid *serviceerror.InvalidArgument
	return isNotFound(err) || errors.As(err, &invalid)
}

// transient reports whether the same call may succeed later.
func transient(err error) bool {
	var (
		notYet      notYetError
		unavailable *serviceerror.Unavailable
		exhausted   *serviceerror.ResourceExhausted
		deadline    *serviceerror.DeadlineExceeded
	)
	return errors.As(err, &notYet) || errors.As(err, &unavailable) || errors.As(err, &exhausted) ||
		errors.As(err, &deadline) || isNotFound(err)
}

// refusal chooses the code of an error that does not go away.
func refusal(err error) errcode.Code {
	var (
		denied  *serviceerror.PermissionDenied
		invalid *serviceerror.InvalidArgument
	)
	switch {
	case errors.As(err, &denied):
		return errcode.Forbidden
	case errors.As(err, &invalid):
		return errcode.BadRequest
	}
	return errcode.WorkflowService
}
