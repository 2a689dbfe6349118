package s3

import (
	"strconv"
	"strings"

	"ingest/stores"
)

const (
	stampName   = "store.json"
	objectsName = "objects/"
	dataName    = "data/"
	uploadsName = "uploads/"
	partsName   = "parts/"
	suffix      = ".json"
)

func (s *Store) claimPath(key string) string   { return s.o.Prefix + objectsName + key + suffix }
func (s *Store) manifestPath(id string) string { return s.o.Prefix + uploadsName + id + suffix }
func (s *Store) dataPath(id string) string {
	return s.o.Prefix + dataName + strings.ReplaceAll(id, ".", "/")
}
func (s *Store) partPath(id string, n int) string {
	return s.o.Prefix + partsName + id + "/" + strconv.Itoa(n)
}

// idOfData returns the id in the name of an upload's bytes.
func (s *Store) idOfData(path string) string {
	return strings.ReplaceAll(strings.TrimPrefix(path, s.o.Prefix+dataName), "/", ".")
}

// idOf returns the id in a listed name below prefix, "" if it is none.
func idOf(name, prefix, end string) string {
	id, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return ""
	}
	if id, ok = strings.CutSuffix(id, end); !ok {
		return ""
	}
	if _, ok := stores.KeyOfID(id); !ok {
		return ""
	}
	return id
}
