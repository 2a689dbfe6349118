package sources

import "ingest/internal/errcode"

// Changed is the error of a source that is another version than its pin: is is what
// the server says of the field, was what the pin does.
func Changed(field, is, was string) error {
	return errcode.New(errcode.SourceChanged, "the source is not the version that was pinned").
		With(errcode.Evidence{Structure: "source", Field: field, Value: errcode.Shown(is), Limit: errcode.Shown(was)})
}
