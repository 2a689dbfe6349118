package pipeline_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/imgtest"
	"ingest/pipeline"
	"ingest/stores"
	"ingest/stores/fs"
)

// chain is every format that keeps a disk's size, each after another kind of
// one: packed after plain, plain after packed.
func chain() []contract.TargetSpec {
	return []contract.TargetSpec{
		{Format: "qcow2", Compression: "zlib"},
		{Format: "vhd"},
		{Format: "vmdk", Options: map[string]string{"subformat": "streamOptimized"}},
		{Format: "vhdx", Options: map[string]string{"block_size": "8M"}},
		{Format: "qcow2", Compression: "zstd"},
		{Format: "vdi"},
		{Format: "vmdk", Options: map[string]string{"subformat": "monolithicSparse"}},
		{Format: "vhd", Options: map[string]string{"subformat": "fixed"}},
		{Format: "qcow2", Options: map[string]string{"cluster_size": "4K"}},
		{Format: "raw"},
	}
}

// TestRoundTripThroughAllFormats sends random disks through all formats in a
// row: the last content digest is the first.
func TestRoundTripThroughAllFormats(t *testing.T) {
	const disks = 20
	for seed := uint64(1); seed <= disks; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			disk := imgtest.Random(seed, int64(8<<20+seed*777*512), 5<<20)
			first := imgtest.WriteRaw(t, disk)
			p, _ := newPipeline(t, "/")
			src, digest := first, ""
			for i, target := range chain() {
				dst := filepath.Join(t.TempDir(), fmt.Sprintf("%d.%s", i, target.Format))
				out, err := p.ConvertTo(t.Context(), pipeline.ConvertRequest{
					URLs: []string{src}, Target: target, Verify: true,
					Begin: func() (stores.Upload, error) { return fs.BeginFile(dst, false) },
				}, func(string) {}, nil)
				if err != nil {
					t.Fatalf("%s to %+v: %v", src, target, err)
				}
				if digest == "" {
					digest = out.ContentDigest
				}
				if out.ContentDigest != digest || !out.Verified {
					t.Fatalf("%+v: content digest %s, the first was %s", target, out.ContentDigest, digest)
				}
				src = dst
			}
			a, b := imgtest.OpenFile(t, first), imgtest.OpenFile(t, src)
			if a.Size() != b.Size() {
				t.Fatalf("%d bytes came back of %d", b.Size(), a.Size())
			}
			imgtest.Equal(t, b, a, a.Size())
		})
	}
}
