package main

import (
	"io"
	"os"

	"ingest/internal/schemas"
)

// maxImageSchema bounds the operator's schema of images, bytes.
const maxImageSchema = 1 << 20

// openImageSchema reads what the schema of images names to clients.
func (s *services) openImageSchema() error {
	if s.c.ImageSchema == "" {
		return nil
	}
	f, err := os.Open(s.c.ImageSchema)
	if err == nil {
		defer f.Close()
		var raw []byte
		if raw, err = io.ReadAll(io.LimitReader(f, maxImageSchema)); err == nil {
			s.imageProperties, err = schemas.ParseProperties(raw)
		}
	}
	if err != nil {
		return notStarted(err, "the schema of images cannot be used", "Correct the file of --image-schema; Glance's schema-image.json shows the shape.")
	}
	return nil
}
