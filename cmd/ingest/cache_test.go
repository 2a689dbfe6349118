package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ingest/api"
	"ingest/cache"
)

func TestCacheCommands(t *testing.T) {
	var c *cache.Cache
	m := newMachine(t, succeed, func(d *api.Deps) {
		var err error
		c, err = cache.Open(cache.Options{Dir: t.TempDir(), MaxBytes: 1 << 20, Stall: time.Hour, Source: d.Blobs, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		d.Cache = c
	})
	m.ingest("import", "https://example.org/disk", "--name", "disk").want(t, 0, `.*`, `.*`)
	m.ingest("cache", "list").want(t, 0, `IMAGE .*\n\n0 B of 1.00 MiB; since the start 0 hits, .*`, ``)
	m.ingest("cache", "queue", "disk").want(t, 0, ``, `image `+uuidPattern+` is queued\n`)
	m.ingest("cache", "list").want(t, 0, `IMAGE .*\n`+uuidPattern+` +local +586 KiB +queued *\n.*`, ``)
	m.ingest("cache", "delete", "--queued").want(t, 0, ``, `done\n`)
	m.ingest("cache", "delete").want(t, 2, ``, `.*--queued.*`)
	m.ingest("cache", "delete", "--all", "disk").want(t, 2, ``, `.*`)
	m.ingest("image", "save", "disk", t.TempDir()+"/disk.img").want(t, 0, `.*`, `.*`)
	for deadline := time.Now().Add(20 * time.Second); len(c.View().Entries) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the image is not copied: %+v", c.View())
		}
	}
	m.ingest("cache", "list").want(t, 0, `IMAGE .*\n`+uuidPattern+` +local +586 KiB +cached +0 +.*\n\n586 KiB of 1.00 MiB; since the start 0 hits, 0 shared, 1 misses, 1 copied, 0 evicted\n`, ``)
	var v cache.View
	if o := m.ingest("cache", "list", "--json").want(t, 0, `.*`, ``); json.Unmarshal([]byte(o.out), &v) != nil || len(v.Entries) != 1 || v.Entries[0].Size != 600000 {
		t.Errorf("%s", o.out)
	}
	m.ingest("cache", "clean").want(t, 0, `removed: 0 of images that are gone, 0 damaged, 0 stalled; 0 B\n`, ``)
	m.ingest("cache", "clean", "--verify").want(t, 0, `removed: 0 of .*`, `reading 1 images, 586 KiB\n`)
	m.ingest("cache", "prune").want(t, 0, `0 images removed, 0 B\n`, ``)
	m.ingest("cache", "prune", "--to", "-1").want(t, 2, ``, `.*`)
	m.ingest("cache", "prune", "--to", "0", "--json").want(t, 0, `{\s*"total_files_pruned": 1,\s*"total_bytes_pruned": 600000\s*}\n`, ``)
	m.ingest("cache", "delete", "disk").want(t, 0, ``, `image `+uuidPattern+` is out of the cache\n`)

	none := newMachine(t, succeed)
	none.ingest("cache", "list").want(t, 1, ``, `error: .*--cache-dir.*`)
}
