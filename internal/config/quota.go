package config

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"ingest/metadata"
)

// Quota says what projects may use, and what becomes of an import for which there
// is no space.
type Quota struct {
	File    string          // YAML file of limits of single projects, "" for none
	Default metadata.Limits // of every project that the file says nothing of
	// Wait is how long an import waits for space before it fails.
	Wait time.Duration
}

func (q *Quota) flags(f *pflag.FlagSet) {
	f.StringVar(&q.File, "quotas", "", "YAML `FILE` of what single projects may use; read again when it changes (default: every project the --quota-… limits)")
	f.Int64Var(&q.Default.Images, "quota-images", metadata.Unlimited, "images that a project may have (-1: any number)")
	f.Int64Var(&q.Default.ImageBytes, "quota-image-bytes", metadata.Unlimited, "bytes that a project's images may take in the stores (-1: any number)")
	f.Int64Var(&q.Default.StageBytes, "quota-stage-bytes", metadata.Unlimited, "bytes that a project's imports may take in staging (-1: any number)")
	f.Int64Var(&q.Default.Uploading, "quota-uploading", metadata.Unlimited, "imports and uploads that a project may have at once (-1: any number)")
	f.DurationVar(&q.Wait, "wait-for-space", 0, "how long an import waits for space in staging or in the store before it fails (0: not at all)")
}

func (q *Quota) check() error {
	for _, n := range []struct {
		flag  string
		value int64
	}{
		{"--quota-images", q.Default.Images}, {"--quota-image-bytes", q.Default.ImageBytes},
		{"--quota-stage-bytes", q.Default.StageBytes}, {"--quota-uploading", q.Default.Uploading},
	} {
		if n.value < metadata.Unlimited {
			return bad(n.flag, fmt.Sprint(n.value), "is less than -1, which is any number")
		}
	}
	if q.Wait < 0 {
		return bad("--wait-for-space", q.Wait.String(), "is less than 0s")
	}
	return nil
}
