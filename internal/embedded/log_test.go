//go:build !noembed && unix

package embedded

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"

	"ingest/internal/logging"
)

func TestServerLogger(t *testing.T) {
	tests := []struct {
		name    string
		verbose bool
		phase   int32
		log     func(log.Logger)
		want    []string // parts of the line; nil means that there is none
	}{
		{"info is left out", false, running, func(l log.Logger) { l.Info("started") }, nil},
		{"info if verbose", true, running, func(l log.Logger) { l.Info("started") }, []string{`"level":"info"`, "started"}},
		{"warn with tags", false, running, func(l log.Logger) {
			log.With(l, tag.WorkflowID("w1")).Warn("slow", tag.Error(errors.New(`get "https://h/k?sig=s3cret"`)))
		}, []string{`"level":"warn"`, `"component":"temporal-server"`, `"wf-id":"w1"`, `https://h/k\"`, "slow"}},
		{"no stack trace", false, running, func(l log.Logger) { l.Error("bad", tag.SysStackTrace("goroutine 1")) }, []string{"bad"}},
		{"cancelled", false, running, func(l log.Logger) { l.Error("poll", tag.Error(context.Canceled)) }, nil},
		{"cancelled in message", false, running, func(l log.Logger) { l.Error("poll: context canceled") }, nil},
		{"refused while running", false, running, func(l log.Logger) { l.Error("dial", tag.Error(errors.New("connection refused"))) }, []string{"connection refused"}},
		{"refused while stopping", false, stopping, func(l log.Logger) { l.Error("dial", tag.Error(errors.New("connection refused"))) }, nil},
		{"real error while stopping", false, stopping, func(l log.Logger) { l.Error("disk I/O error") }, []string{"disk I/O error"}},
		{"unhealthy while starting", false, starting, func(l log.Logger) { l.Error("x", tag.Error(errors.New("Frontend is not healthy yet"))) }, nil},
		{"unhealthy while running", false, running, func(l log.Logger) { l.Error("x", tag.Error(errors.New("Frontend is not healthy yet"))) }, []string{"not healthy yet"}},
		{"dpanic", false, running, func(l log.Logger) { l.DPanic("odd") }, []string{`"level":"error"`, "odd"}},
		{"panic", false, running, func(l log.Logger) {
			defer func() { _ = recover() }()
			l.Panic("broken")
		}, []string{`"level":"panic"`, "broken"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var buf bytes.Buffer
			l := newServerLogger(logging.New(&buf, logging.JSON, zerolog.InfoLevel), tt.verbose)
			l.phase.Store(tt.phase)
			tt.log(l)
			if (buf.Len() == 0) != (tt.want == nil) || strings.Contains(buf.String(), "s3cret") || strings.Contains(buf.String(), "goroutine") {
				t.Errorf("line = %q, want %q", buf.String(), tt.want)
			}
			for _, part := range tt.want {
				if !strings.Contains(buf.String(), part) {
					t.Errorf("line = %q lacks %q", buf.String(), part)
				}
			}
		})
	}
}
