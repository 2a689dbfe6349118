package config

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
)

// Cache says where copies of images in remote stores are kept.
type Cache struct {
	Dir      string        // "" keeps none
	MaxBytes int64         // of all copies
	Stall    time.Duration // how long a copy waits for the next byte
}

func (c *Cache) flags(f *pflag.FlagSet) {
	f.StringVar(&c.Dir, "cache-dir", "", "folder of copies of images that lie in remote stores, for downloads (default: none are kept)")
	f.Int64Var(&c.MaxBytes, "cache-max-bytes", 10<<30, "bytes that the copies take at most; what was not read for longest goes first")
	f.DurationVar(&c.Stall, "cache-stall-time", 5*time.Minute, "how long a copy waits for the next byte of its store before it is given up")
}

func (c *Cache) check() error {
	if c.MaxBytes <= 0 {
		return bad("--cache-max-bytes", fmt.Sprint(c.MaxBytes), "is not more than 0; leave --cache-dir out to keep no copies")
	}
	if c.Stall <= 0 {
		return bad("--cache-stall-time", c.Stall.String(), "is not more than 0s")
	}
	if c.Dir == "" {
		return nil
	}
	dir, err := filepath.Abs(c.Dir)
	c.Dir = dir
	return err
}
