// Package errcode holds every error code that ingest shows to people and programs.
//
// A code is stable for ever and never reused. It is chosen where the error is
// born, because only that place knows what is wrong; whether the work may be
// tried again, which HTTP status answers it and what to do about it is looked
// up in one table (table.go), from which docs/errors.md is generated.
package errcode

import (
	"errors"
	"fmt"
	"sort"
)

// A Code names one kind of failure, in upper snake case.
type Code string

// A Descriptor says what a code means, in words for the person who meets it.
type Descriptor struct {
	Code       Code
	Meaning    string // one sentence, present tense
	HTTPStatus int    // answer of the API when a request fails with it
	Retryable  bool   // true if the same work may succeed later unchanged
	Remedy     string // what the person can do, imperative
}

// Evidence is what was seen at the place of the error. Empty fields are unknown.
type Evidence struct {
	Format    string `json:"format,omitempty"`    // format or component that was read
	Structure string `json:"structure,omitempty"` // on-disk structure, such as "L2 table 17"
	Field     string `json:"field,omitempty"`     // field within the structure
	Offset    *int64 `json:"offset,omitempty"`    // host offset of the field, bytes
	Value     string `json:"value,omitempty"`     // what stood there
	Limit     string `json:"limit,omitempty"`     // what was allowed
}

// An Error is a failure with a stable code. Its message may be shown to the
// owner of the task; the wrapped cause is for the operator's log only.
type Error struct {
	Code     Code
	Message  string
	Evidence *Evidence
	cause    error
}

// New returns an error with the given code and message.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns an error with the given code and message whose cause is err.
func Wrap(err error, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), cause: err}
}

// With returns a copy of e that carries the evidence.
func (e *Error) With(ev Evidence) *Error {
	out := *e
	out.Evidence = &ev
	return &out
}

// Error returns the code and the message, without the cause.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Unwrap returns the cause, nil if there is none.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is an *Error with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Message == ""
}

// Remedy returns what the person can do about the error.
func (e *Error) Remedy() string { return Lookup(e.Code).Remedy }

// Sentinel returns a value for errors.Is that matches every error with the code.
func Sentinel(code Code) error { return &Error{Code: code} }

// As finds the first *Error in err's chain.
func As(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

// Of returns the code of err: Internal for an error that carries none, "" for nil.
func Of(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := As(err); ok {
		return e.Code
	}
	return Internal
}

// Lookup returns the descriptor of a code, that of Internal for an unknown one.
func Lookup(code Code) Descriptor {
	for i := range table {
		if table[i].Code == code {
			return table[i]
		}
	}
	return Lookup(Internal)
}

// Known reports whether the code stands in the table.
func Known(code Code) bool { return Lookup(code).Code == code }

// All returns every descriptor, sorted by code.
func All() []Descriptor {
	out := append([]Descriptor(nil), table...)
	sort.Slice(out, func(i, j int) bool { return out[i].Code < out[j].Code })
	return out
}

// At is a helper for Evidence.Offset.
func At(off int64) *int64 { return &off }
