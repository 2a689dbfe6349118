package api

import (
	"slices"
	"testing"

	"ingest/internal/errcode"
)

// TestSourceFormatsMayBeDeclared declares each format that a server says it
// takes, and names that are not among them.
func TestSourceFormatsMayBeDeclared(t *testing.T) {
	b := newBench(t)
	declare := func(format string) answer {
		return b.do("POST", "/v1/imports", `{"source":{"url":"http://h/i","format":"`+format+`"}}`)
	}
	var server struct {
		SourceFormats []string `json:"source_formats"`
	}
	b.do("GET", "/v1/server", "").want(t, 200, "").into(t, &server)
	for _, format := range []string{"raw", "qcow2", "iso", "ami", "aki", "ari"} {
		if !slices.Contains(server.SourceFormats, format) {
			t.Errorf("%s is not among the source formats %v", format, server.SourceFormats)
		}
	}
	for _, format := range server.SourceFormats {
		declare(format).want(t, 202, "")
	}
	for _, format := range []string{"docker", "AKI", "ami "} {
		declare(format).want(t, 400, errcode.BadRequest)
	}
}
