package inflate

import (
	"bytes"
	"compress/flate"
	"io"
	"testing"

	kflate "github.com/klauspost/compress/flate"
)

// BenchmarkRaw inflates clusters of 64 KiB of a program, each a stream of its
// own, with this package and with the two that it stands beside.
func BenchmarkRaw(b *testing.B) {
	const cluster = 64 << 10
	p := sample(b, 32*cluster)
	packed := make([][]byte, 32)
	for i := range packed {
		packed[i] = deflate(b, p[i*cluster:(i+1)*cluster], 6)
	}
	dst := make([]byte, cluster)
	bench := func(name string, inflate func(z []byte) error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(cluster)
			for i := 0; b.Loop(); i++ {
				if err := inflate(packed[i%len(packed)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	var r bytes.Reader
	std := flate.NewReader(&r)
	bench("compress-flate", func(z []byte) error {
		r.Reset(z)
		if err := std.(flate.Resetter).Reset(&r, nil); err != nil {
			return err
		}
		_, err := io.ReadFull(std, dst)
		return err
	})
	klauspost := kflate.NewReader(&r)
	bench("klauspost", func(z []byte) error {
		r.Reset(z)
		if err := klauspost.(kflate.Resetter).Reset(&r, nil); err != nil {
			return err
		}
		_, err := io.ReadFull(klauspost, dst)
		return err
	})
	var d Decoder
	bench("ours", func(z []byte) error {
		_, _, err := d.Raw(dst, z)
		return err
	})
}
