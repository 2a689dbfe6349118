package logging

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"
)

// The formats of lines.
const (
	JSON    = "json"
	Console = "console"
)

// timeLayout is RFC 3339 in UTC with milliseconds, so that lines sort as text.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// New returns a logger that writes lines at the level and above to w, each in
// one Write. The format is JSON or Console; any other means JSON, see
// CheckFormat. Colours are used only if w is a terminal and the environment
// variable NO_COLOR is empty.
func New(w io.Writer, format string, level zerolog.Level) zerolog.Logger {
	if format == Console {
		w = zerolog.ConsoleWriter{Out: w, NoColor: !colours(w), TimeFormat: "15:04:05.000"}
	}
	return zerolog.New(w).Level(level).Hook(stamp{})
}

// CheckFormat returns an error that lists the formats if the name is not one.
func CheckFormat(name string) error {
	if name == JSON || name == Console {
		return nil
	}
	return fmt.Errorf("log format %q: want %s or %s", name, JSON, Console)
}

// ParseLevel returns the level of a name: trace, debug, info, warn, error or
// disabled, in any case. The empty name means info.
func ParseLevel(name string) (zerolog.Level, error) {
	switch n := strings.ToLower(name); n {
	case "":
		return zerolog.InfoLevel, nil
	case "trace", "debug", "info", "warn", "error", "disabled":
		return zerolog.ParseLevel(n)
	}
	return zerolog.NoLevel, fmt.Errorf("log level %q: want trace, debug, info, warn, error or disabled", name)
}

// stamp adds the time of the line. zerolog's own hook takes its layout from a
// global variable.
type stamp struct{}

// Run implements zerolog.Hook.
func (stamp) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str(zerolog.TimestampFieldName, time.Now().UTC().Format(timeLayout))
}

func colours(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(f.Fd()))
}
