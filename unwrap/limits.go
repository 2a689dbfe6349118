package unwrap

import (
	"ingest/unwrap/archive"
	"ingest/unwrap/docker"
	"ingest/unwrap/ovf"
)

// Limits bound what taking off a layer may cost. The zero value allows nothing, so
// start from DefaultLimits.
type Limits struct {
	// Output is the most bytes that may come out, zeros included. The default is
	// the largest disk that is imported unless the operator says otherwise.
	Output int64
	// Ratio is how many bytes one byte of the source may stand for, where a block
	// of 4 KiB (what a sparse file stores or leaves out) counts if it holds
	// anything but zeros. deflate reaches 1032 with one repeated byte.
	Ratio int64
	// ZeroRatio is the same with the zeros counted. zstd says 128 KiB in 4 bytes,
	// so no honest file of it, gzip or xz has more; only bzip2 can.
	ZeroRatio int64
	// Dictionary is the largest dictionary of xz, bytes. `xz -9` takes 64 MiB.
	Dictionary int64
	// Window is the largest window of zstd, bytes. `zstd --long` and `--ultra -22`
	// take 128 MiB, and its own decoder refuses more unless it is told otherwise.
	Window int64
	// Archive bounds tar and zip, OVF the descriptor, Docker container images, whose
	// layers may hold Output bytes together.
	Archive archive.Limits
	OVF     ovf.Limits
	Docker  docker.Limits
}

// What may come out whatever the ratio: small files of one pattern harm nobody.
const (
	ratioFloor     = 16 << 20
	zeroRatioFloor = 64 << 30
)

// DefaultLimits returns limits that fit honest images.
func DefaultLimits() Limits {
	return Limits{
		Output:     2 << 40,
		Ratio:      1000,
		ZeroRatio:  32768,
		Dictionary: 64 << 20,
		Window:     128 << 20,
		Archive:    archive.DefaultLimits(),
		OVF:        ovf.DefaultLimits(),
		Docker:     docker.DefaultLimits(),
	}
}
