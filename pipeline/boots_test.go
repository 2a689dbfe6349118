package pipeline_test

import (
	"path/filepath"
	"testing"

	"ingest/internal/boottest"
	"ingest/internal/contract"
	"ingest/internal/imgtest"
)

// TestConvertedDisksBoot imports a disk that boots and finds out by itself
// whether it is whole. Every target comes from two sources and every source
// becomes two targets: what the readers and writers do to a disk is tested pair
// by pair elsewhere, here a PC has the last word.
func TestConvertedDisksBoot(t *testing.T) {
	disk := boottest.New(65<<20+512, 5)
	rawPath := disk.WriteRaw(t)
	from, to := variants(), targets()
	for i, target := range to {
		for _, v := range []variant{from[i%len(from)], from[(i+5)%len(from)]} {
			t.Run(v.name+" to "+describe(target), func(t *testing.T) {
				src := rawPath
				if v.format != "raw" {
					src = imgtest.Convert(t, rawPath, "raw", v.format, v.options...)
				}
				boot(t, src, target)
			})
		}
	}
}

// boot imports src as the target and boots from what is stored.
func boot(t *testing.T, src string, target contract.TargetSpec) {
	t.Helper()
	p, _ := newPipeline(t, filepath.Dir(src))
	j := newJob(src, target)
	if err := j.run(t, p); err != nil {
		t.Fatal(err)
	}
	out, format := attachable(t, objectFile(t, p, j, "."+j.target.Format), j.target.Format)
	boottest.Boot(t, out, format)
}
