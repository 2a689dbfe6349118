package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/guest"
	"ingest/guest/tree"
	"ingest/internal/errcode"
)

// TestFit holds the size of the report of a disk that has too much to say.
func TestFit(t *testing.T) {
	report := func(volumes, findings int) Inside {
		f := guest.Facts{Properties: map[string]string{"os_type": "linux"}}
		for range volumes {
			l := &tree.Listing{Kernels: []string{}}
			for range 32 {
				l.Kernels = append(l.Kernels, strings.Repeat("k", 256))
			}
			f.Volumes = append(f.Volumes, guest.Volume{Listing: l})
		}
		for range findings {
			f.Findings = append(f.Findings, formats.Finding{Message: strings.Repeat("m", 1000)})
		}
		return Inside{Facts: &f, Summary: "s", MinDisk: 1}
	}
	for _, c := range []struct {
		name              string
		in                Inside
		volumes, findings int
		listed, told      bool // the trees are kept; something is left out
	}{
		{"usual", report(3, 3), 3, 3, true, false},
		{"many files", report(64, 3), 64, 3, false, true},
		{"many findings", report(3, 1000), 0, 0, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.in.fit()
			if n := got.size(); n > maxInsideBytes || len(got.Facts.Volumes) != c.volumes || len(got.Facts.Findings) != c.findings || (got.NotInspected != "") != c.told {
				t.Errorf("%d bytes, %d volumes, %d findings, %q", n, len(got.Facts.Volumes), len(got.Facts.Findings), got.NotInspected)
			}
			for i, v := range got.Facts.Volumes {
				if (v.Listing != nil) != c.listed || c.in.Facts.Volumes[i].Listing == nil {
					t.Errorf("volume %d: %+v", i, v)
				}
			}
			if got.Contract().Properties["os_type"] != "linux" {
				t.Error("the properties are lost")
			}
		})
	}
}

// TestEnds tells errors of the source, which end the attempt, from those that the
// report tells.
func TestEnds(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		ends bool
	}{
		{"changed", t.Context(), errcode.New(errcode.SourceChanged, "changed"), true},
		{"staged file gone", t.Context(), errcode.New(errcode.StagingLost, "gone"), true},
		{"worth another attempt", t.Context(), errcode.New(errcode.SourceUnreachable, "503"), true},
		{"damaged", t.Context(), errcode.New(errcode.CompressionCorrupt, "bad cluster"), false},
		{"without a code", t.Context(), errors.New("secret"), false},
		{"slow", t.Context(), fmt.Errorf("read: %w", errInsideSlow), false},
		{"given up", over, errors.New("x"), true},
	} {
		if got := ends(c.ctx, c.err); (got != nil) != c.ends {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if s := unseen(errcode.New(errcode.CompressionCorrupt, "cluster 3 is damaged")); s != "the disk could not be read: IMG_COMPRESSION_CORRUPT cluster 3 is damaged" {
		t.Errorf("%q", s)
	}
	if s := unseen(errors.New("secret")); strings.Contains(s, "secret") {
		t.Errorf("%q tells the text of an error without a code", s)
	}
}
