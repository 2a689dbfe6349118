package pipeline

import (
	"context"
	"errors"
	"testing"

	"ingest/internal/contract"
)

// TestInterruptedWritersMeetOtherHoles interrupts every kind of writer in the
// middle; then the source tells other holes. Whatever cannot go on begins again,
// and what is stored is the source's content.
func TestInterruptedWritersMeetOtherHoles(t *testing.T) {
	for _, format := range []string{"raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "azure", "gce", "ova"} {
		t.Run(format, func(t *testing.T) {
			src := newShifty()
			p, _, c := shiftyJob(t, src)
			var err error
			if c.Target, err = CheckTarget(contract.TargetSpec{Format: format}); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			_, err = p.Convert(ctx, c, func(done, _ int64, _ []byte) {
				if done >= shiftySize/2 {
					stop()
				}
			})
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			src.opens = 1
			out, err := p.Convert(t.Context(), c, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Checksum(t.Context(), contract.ChecksumParams{Target: c.Target, Converted: out}, nil, nil); err != nil {
				t.Error(err)
			}
		})
	}
}
