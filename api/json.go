package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"ingest/internal/errcode"
)

// decode reads a request's body, one JSON value, into v. Members that v does
// not have are refused, so that a misspelt one is not silently dropped.
func decode(r *http.Request, v any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return bodyError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		if err != nil {
			return bodyError(err)
		}
		return badField("body", "", "there is something behind the JSON value")
	}
	return nil
}

// bodyError says what is wrong with a request's body.
func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	if late := tooSlow(err); late != nil {
		return late
	}
	coded, own := errcode.As(err)
	switch {
	case errors.As(err, &tooLarge):
		return withStatus(http.StatusRequestEntityTooLarge,
			errcode.Wrap(err, errcode.BadRequest, "the body is longer than %d bytes", tooLarge.Limit))
	case errors.As(err, &kind):
		field := kind.Field
		if field == "" {
			field = "body"
		}
		return badField(field, kind.Value, "expected %s, found %s", kind.Type, kind.Value)
	case errors.As(err, &syntax):
		e := errcode.Wrap(err, errcode.BadRequest, "the body is no JSON: %v", syntax)
		return e.With(errcode.Evidence{Structure: "request", Field: "body", Offset: errcode.At(syntax.Offset)})
	case own: // of a value that reads itself
		return coded
	case errors.Is(err, io.EOF):
		return badField("body", "", "the request needs a JSON body")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return badField("body", "", "the JSON ends too early")
	default:
		// Such as: json: unknown field "sorce".
		return badField("body", "", "%v", err)
	}
}
