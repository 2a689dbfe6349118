package logging

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/rs/zerolog"
	"go.temporal.io/sdk/log"
)

// Temporal returns the logger as the Temporal SDK wants it. Strings and errors
// are redacted, and lines about cancelled work are logged at debug level.
func Temporal(l zerolog.Logger) log.Logger { return sdkLogger{l} }

type sdkLogger struct{ l zerolog.Logger }

var (
	_ log.Logger     = sdkLogger{}
	_ log.WithLogger = sdkLogger{}
)

// Debug implements log.Logger.
func (s sdkLogger) Debug(msg string, kv ...any) { s.log(zerolog.DebugLevel, msg, kv) }

// Info implements log.Logger.
func (s sdkLogger) Info(msg string, kv ...any) { s.log(zerolog.InfoLevel, msg, kv) }

// Warn implements log.Logger.
func (s sdkLogger) Warn(msg string, kv ...any) { s.log(zerolog.WarnLevel, msg, kv) }

// Error implements log.Logger.
func (s sdkLogger) Error(msg string, kv ...any) { s.log(zerolog.ErrorLevel, msg, kv) }

// With implements log.WithLogger.
func (s sdkLogger) With(kv ...any) log.Logger {
	c := s.l.With()
	pairs(kv, func(key string, value any) { c = c.Interface(key, plain(value)) })
	return sdkLogger{c.Logger()}
}

func (s sdkLogger) log(level zerolog.Level, msg string, kv []any) {
	if level > zerolog.DebugLevel {
		if Cancelled(msg) {
			level = zerolog.DebugLevel
		}
		pairs(kv, func(_ string, value any) {
			if Cancelled(value) {
				level = zerolog.DebugLevel
			}
		})
	}
	e := s.l.WithLevel(level)
	if level < s.l.GetLevel() || e == nil {
		return
	}
	pairs(kv, func(key string, value any) { Field(e, key, value) })
	e.Msg(Text(msg))
}

// Field adds one field of foreign origin to the event: errors and strings are
// redacted, the rest goes as it is.
func Field(e *zerolog.Event, key string, value any) {
	e.Interface(key, plain(value))
}

// Cancelled reports whether an error, or a text made from one, says that its
// context was cancelled. A deadline that passed is not such an error.
func Cancelled(value any) bool {
	switch v := value.(type) {
	case error:
		return v != nil && (errors.Is(v, context.Canceled) || cancelText(v.Error()))
	case string:
		return cancelText(v)
	}
	return false
}

// cancelText knows the text of context.Canceled and that of package net for it,
// which gRPC and SQL drivers keep while they lose the error's identity.
func cancelText(s string) bool {
	return strings.Contains(s, "context canceled") || strings.Contains(s, "operation was canceled")
}

// plain turns a value into one that marshals to what a reader expects.
func plain(value any) any {
	switch v := value.(type) {
	case nil:
		return nil
	case string:
		return Text(v)
	case error:
		return Text(v.Error())
	case fmt.Stringer:
		return Text(v.String())
	}
	return value
}

// pairs calls f for each key and value of an alternating list. A last key
// without value gets nil.
func pairs(kv []any, f func(key string, value any)) {
	for i := 0; i < len(kv); i += 2 {
		var value any
		if i+1 < len(kv) {
			value = kv[i+1]
		}
		key, ok := kv[i].(string)
		if !ok {
			key = fmt.Sprint(kv[i])
		}
		f(key, value)
	}
}
