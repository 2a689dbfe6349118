package fs

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ingest/internal/errcode"
	"ingest/stores"
)

var _ stores.Finder = (*Store)(nil)

// Find returns the id of the upload that was begun for key.
func (s *Store) Find(ctx context.Context, key string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if rec, _, err := s.object(key); err == nil && rec.Upload != "" {
		return rec.Upload, nil
	} else if err != nil && errcode.Of(err) != errcode.NotFound {
		return "", err
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, uploadsName))
	if err != nil {
		return "", storeError(err, "look for an upload")
	}
	prefix := stores.IDPrefix(key)
	var id string
	var newest time.Time
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		// Without a manifest it was not begun to its end, or is being removed.
		fi, err := os.Stat(filepath.Join(s.dir, uploadsName, e.Name(), manifestName))
		if err != nil || (id != "" && !fi.ModTime().After(newest)) {
			continue
		}
		id, newest = e.Name(), fi.ModTime()
	}
	if id == "" {
		return "", errcode.New(errcode.UploadUnknown, "there is no upload for %s", key)
	}
	return id, nil
}
