package pipeline_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/stores"
	"ingest/stores/mem"
)

// begun is a store that takes no uploads and keeps what it was told of their size.
type begun struct {
	stores.Store
	size, most int64
}

func (s *begun) Begin(_ context.Context, _ string, size int64) (stores.Upload, error) {
	s.size = size
	return nil, errcode.New(errcode.ObjectTooLarge, "no upload is taken")
}

func (s *begun) BeginUpTo(_ context.Context, _ string, most int64) (stores.Upload, error) {
	s.most = most
	return nil, errcode.New(errcode.ObjectTooLarge, "no upload is taken")
}

// TestStoresAreToldTheSize converts a disk of 5 TiB as far as the first byte: a target
// that is laid out has its size then, one that is encoded a bound that it keeps.
func TestStoresAreToldTheSize(t *testing.T) {
	root := t.TempDir()
	const size = 5 << 40
	path := filepath.Join(root, "large.raw")
	if err := os.WriteFile(path, []byte("a disk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		target contract.TargetSpec
		exact  bool
		from   int64 // what is told, bytes
		to     int64
	}{
		{"raw", contract.TargetSpec{Format: "raw"}, true, size, size},
		{"qcow2", contract.TargetSpec{Format: "qcow2"}, true, 6 * 64 << 10, 1 << 20}, // header, tables and one cluster
		{"compressed", contract.TargetSpec{Format: "qcow2", Compression: "zstd"}, false, size, size + size/10},
	} {
		p, _ := newPipeline(t, root)
		store := &begun{Store: mem.New("large"), size: -2, most: -2}
		p.Stores["large"] = store
		tt.target.Store = "large"
		err := newJob(path, tt.target).run(t, p)
		if errcode.Of(err) != errcode.ObjectTooLarge {
			t.Errorf("%s: %v, want %s", tt.name, err, errcode.ObjectTooLarge)
		}
		told, other := store.size, store.most
		if !tt.exact {
			told, other = store.most, store.size
		}
		if other != -2 || told < tt.from || told > tt.to {
			t.Errorf("%s: the store is told a size of %d, at most %d; want from %d to %d, exact %v", tt.name, store.size, store.most, tt.from, tt.to, tt.exact)
		}
	}
}
