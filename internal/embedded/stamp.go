//go:build !noembed && unix

package embedded

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.temporal.io/server/common/headers"
	sqliteschema "go.temporal.io/server/schema/sqlite"
)

const (
	stampName = "temporal.version"
	unknown   = "unknown"
	// maxStamp bounds what is read of a stamp, bytes.
	maxStamp = 4096
)

// A stamp says what made the file.
type stamp struct {
	Server           string `json:"server"`
	Schema           string `json:"schema"`
	VisibilitySchema string `json:"visibility_schema"`
}

// thisServer is the stamp of the server that is linked.
func thisServer() stamp {
	return stamp{headers.ServerVersion, sqliteschema.Version, sqliteschema.VisibilityVersion}
}

// String returns the stamp for people, such as "1.32.1 (schema 0.11/0.1)".
func (s stamp) String() string {
	if s == (stamp{}) {
		return unknown
	}
	return fmt.Sprintf("%s (schema %s/%s)", s.Server, s.Schema, s.VisibilitySchema)
}

// label returns the server version in a form that may stand in a file name.
func (s stamp) label() string {
	clean := strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, s.Server)
	if clean == "" || len(clean) > 32 || strings.HasPrefix(clean, ".") {
		return unknown
	}
	return clean
}

// readStamp returns the zero stamp if there is none that can be understood.
func readStamp(dir string) stamp {
	f, err := os.Open(filepath.Join(dir, stampName))
	if err != nil {
		return stamp{}
	}
	defer f.Close()
	buf := make([]byte, maxStamp)
	n, _ := f.Read(buf)
	var s stamp
	if json.Unmarshal(buf[:n], &s) != nil {
		return stamp{}
	}
	return s
}

// writeStamp replaces the stamp as a whole, so that a crash leaves the old one
// or the new one.
func writeStamp(dir string, s stamp) error {
	body, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode stamp: %w", err)
	}
	tmp := filepath.Join(dir, stampName+".tmp")
	if err := os.WriteFile(tmp, append(body, '\n'), 0o600); err != nil {
		return fmt.Errorf("write stamp: %w", err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, stampName)); err != nil {
		return fmt.Errorf("write stamp: %w", err)
	}
	return nil
}
