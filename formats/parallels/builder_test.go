package parallels

import (
	"crypto/md5"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"ingest/internal/binio"
	"ingest/internal/imgtest"
)

// A recipe says how build lays a disk out. The zero value is v2 with clusters
// of 1 MiB, closed.
type recipe struct {
	v1        bool
	tracks    uint32
	inUse     uint32
	flags     uint32
	extension bool  // the first cluster of the data area is the format extension
	noDataOff bool  // data_off is 0 (v1)
	spare     int64 // entries beyond what the virtual size needs
	gap       int64 // sectors between BAT and data area (v1), or clusters (v2)
	shuffled  bool  // clusters are not in guest order
	shortEnd  bool  // the file ends with the guest's last byte
}

// build returns the disk as a Parallels image: clusters with data are stored,
// all others are holes.
func build(t testing.TB, src *imgtest.Disk, k recipe) []byte {
	t.Helper()
	if k.tracks == 0 {
		k.tracks = 2048
	}
	cluster := int64(k.tracks) * sectorBytes
	n := binio.DivCeil(src.Size(), cluster)
	unit, data := cluster, (binio.DivCeil(headerBytes+(n+k.spare)*entryBytes, cluster)+k.gap)*cluster
	if k.v1 {
		unit, data = sectorBytes, (binio.DivCeil(headerBytes+(n+k.spare)*entryBytes, sectorBytes)+k.gap)*sectorBytes
	}
	clusters := order(t, src, k, cluster)
	first := data
	if k.extension {
		first += cluster
	}
	b := make([]byte, first+int64(len(clusters))*cluster)
	putHeader(b, k, src.Size(), data, n+k.spare)
	if k.extension {
		putExtension(b[data:first])
	}
	for at, i := range clusters {
		hostOff := first + int64(at)*cluster
		binary.LittleEndian.PutUint32(b[headerBytes+i*entryBytes:], uint32(hostOff/unit))
		length := min(cluster, src.Size()-i*cluster)
		imgtest.ReadFull(t, src, b[hostOff:hostOff+length], i*cluster)
		if k.shortEnd && i == n-1 {
			b = b[:hostOff+length]
		}
	}
	return b
}

// order returns the clusters that have data, as they follow in the file.
func order(t testing.TB, src *imgtest.Disk, k recipe, cluster int64) (out []int64) {
	t.Helper()
	for off := int64(0); off < src.Size(); {
		start, end, err := src.NextData(off)
		if err != nil {
			t.Fatal(err)
		}
		if start == end {
			break
		}
		i := start / cluster
		out, off = append(out, i), (i+1)*cluster
	}
	if k.shuffled {
		rng := rand.New(rand.NewPCG(1, 2))
		rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	return out
}

func putHeader(b []byte, k recipe, size, data, entries int64) {
	le := binary.LittleEndian
	copy(b, magicV2)
	if k.v1 {
		copy(b, magicV1)
	}
	if k.inUse == 0 {
		k.inUse = inUseClosed
	}
	le.PutUint32(b[16:], headerVersion)
	le.PutUint32(b[20:], 16)
	le.PutUint32(b[24:], uint32(size/sectorBytes/16/32))
	le.PutUint32(b[28:], k.tracks)
	le.PutUint32(b[32:], uint32(entries))
	le.PutUint64(b[36:], uint64(size/sectorBytes))
	le.PutUint32(b[44:], k.inUse)
	if !k.noDataOff {
		le.PutUint32(b[48:], uint32(data/sectorBytes))
	}
	le.PutUint32(b[52:], k.flags)
	if k.extension {
		le.PutUint64(b[56:], uint64(data/sectorBytes))
	}
}

// putExtension writes a format extension without features.
func putExtension(p []byte) {
	binary.LittleEndian.PutUint64(p, 0xAB234CEF23DCEA87)
	sum := md5.Sum(p[24:])
	copy(p[8:], sum[:])
}
