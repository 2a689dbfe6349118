//go:build !noembed && unix

package embedded

import (
	"os"
	"strings"
	"sync/atomic"

	"github.com/rs/zerolog"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"

	"ingest/internal/logging"
)

// serverLogger gives the server's lines to zerolog. The server logs much that
// matters only to those who work on it: without verbose, what is below warn
// and the stack traces are left out.
type serverLogger struct {
	l       zerolog.Logger
	verbose bool
	phase   *atomic.Int32 // shared by all derived loggers
	// tags are those of With. They are formatted when a line is, because the
	// server adds them by the dozen to loggers that hardly ever log.
	tags []tag.Tag
}

// The phases of a server, between which its services appear and vanish one
// after the other and complain about each other.
const (
	starting int32 = iota
	running
	stopping
)

var (
	_ log.Logger     = serverLogger{}
	_ log.WithLogger = serverLogger{}
)

func newServerLogger(l zerolog.Logger, verbose bool) serverLogger {
	return serverLogger{l: l.With().Str("component", "temporal-server").Logger(), verbose: verbose, phase: new(atomic.Int32)}
}

// Debug implements log.Logger.
func (s serverLogger) Debug(msg string, tags ...tag.Tag) { s.log(zerolog.DebugLevel, msg, tags) }

// Info implements log.Logger.
func (s serverLogger) Info(msg string, tags ...tag.Tag) { s.log(zerolog.InfoLevel, msg, tags) }

// Warn implements log.Logger.
func (s serverLogger) Warn(msg string, tags ...tag.Tag) { s.log(zerolog.WarnLevel, msg, tags) }

// Error implements log.Logger.
func (s serverLogger) Error(msg string, tags ...tag.Tag) { s.log(zerolog.ErrorLevel, msg, tags) }

// DPanic implements log.Logger: outside of development it is an error.
func (s serverLogger) DPanic(msg string, tags ...tag.Tag) { s.log(zerolog.ErrorLevel, msg, tags) }

// Panic implements log.Logger.
func (s serverLogger) Panic(msg string, tags ...tag.Tag) {
	s.write(zerolog.PanicLevel, msg, tags)
	panic(msg)
}

// Fatal implements log.Logger. The server relies on not coming back from it.
// Ending the process is safe: whatever ends it, the next start goes on.
func (s serverLogger) Fatal(msg string, tags ...tag.Tag) {
	s.write(zerolog.FatalLevel, msg, tags)
	os.Exit(1)
}

// With implements log.WithLogger.
func (s serverLogger) With(tags ...tag.Tag) log.Logger {
	s.tags = append(s.tags[:len(s.tags):len(s.tags)], tags...)
	return s
}

func (s serverLogger) log(level zerolog.Level, msg string, tags []tag.Tag) {
	if level >= zerolog.WarnLevel && s.harmless(msg, tags) {
		level = zerolog.DebugLevel
	}
	if level >= s.l.GetLevel() && (level >= zerolog.WarnLevel || s.verbose) {
		s.write(level, msg, tags)
	}
}

func (s serverLogger) write(level zerolog.Level, msg string, tags []tag.Tag) {
	e := s.l.WithLevel(level)
	for _, list := range [][]tag.Tag{s.tags, tags} {
		for _, t := range list {
			if key := t.Key(); s.verbose || key != "sys-stack-trace" {
				logging.Field(e, key, t.Value())
			}
		}
	}
	e.Msg(logging.Text(msg))
}

// harmless reports whether the line is about work that was cut off, or about a
// part of the server that is not there yet or not there any more. The missing
// HTTP port is a decision of serverConfig.
func (s serverLogger) harmless(msg string, tags []tag.Tag) bool {
	if s.expected(msg) || strings.HasPrefix(msg, "HTTP API port has not been set") {
		return true
	}
	for _, t := range tags {
		if s.expected(t.Value()) {
			return true
		}
	}
	return false
}

func (s serverLogger) expected(value any) bool {
	if logging.Cancelled(value) {
		return true
	}
	text, _ := value.(string)
	if err, ok := value.(error); ok && err != nil {
		text = err.Error()
	}
	for _, sign := range signs(s.phase.Load()) {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// signs lists what errors say that are normal in a phase.
func signs(phase int32) []string {
	switch phase {
	case starting:
		return []string{"not healthy yet"}
	case stopping:
		return []string{"shutting down", "shutdown", "connection refused", "connection is closing", "closed network connection", "closing transport"}
	}
	return nil
}
