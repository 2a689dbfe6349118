package boottest

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ingest/formats"
	"ingest/internal/imgtest"
)

// MinSize is the least size of a disk, bytes.
const MinSize = 1 << 20

// Bounds on what a disk holds beside its markers.
const (
	markers  = 44
	zeroes   = maxEntries - markers
	dataRuns = 24
	maxRun   = 192 << 10 // bytes
)

// A Disk is the model of a disk that tests itself. It is immutable and safe for
// concurrent use.
type Disk struct {
	*imgtest.Disk                  // runs and noise
	sectors       map[int64][]byte // by LBA: what stands there instead of noise
	markers       []int64          // LBAs, ascending
}

var (
	_ formats.Disk    = (*Disk)(nil)
	_ imgtest.Content = (*Disk)(nil)
)

// New returns a disk of size bytes, a multiple of 512 and at least MinSize, with
// some MiB of data whatever its size. Markers stand in the first and last
// sectors and at both sides of the borders where a format, a BIOS or a 32-bit
// number ends: clusters, blocks, 2 GiB, 4 GiB, 137 GB, 2 TiB.
func New(size int64, seed uint64) *Disk {
	if size < MinSize || size%sectorBytes != 0 {
		panic(fmt.Sprintf("boottest: a disk of %d bytes", size))
	}
	d := &Disk{sectors: map[int64][]byte{0: bootSector()}}
	rng := rand.New(rand.NewPCG(seed, 0x626F6F74))
	d.markers = markerLBAs(rng, size/sectorBytes)
	d.Disk = imgtest.New(size, seed, d.layRuns(rng, size)...)
	for _, lba := range d.markers {
		d.sectors[lba] = d.marker(lba)
	}
	d.sectors[1] = d.table(rng)
	return d
}

// markerLBAs chooses where the markers stand.
func markerLBAs(rng *rand.Rand, total int64) []int64 {
	var out []int64
	add := func(lba int64) {
		if lba > 1 && lba < total && len(out) < markers && !slices.Contains(out, lba) {
			out = append(out, lba)
		}
	}
	add(2)
	add(total - 1)
	for _, border := range []int64{64 << 10, 1 << 20, 2 << 20, 32 << 20, 2 << 30, 4 << 30, 1 << 37, 1 << 41} {
		add(border/sectorBytes - 1)
		add(border / sectorBytes)
	}
	for len(out) < markers {
		add(rng.Int64N(total))
	}
	slices.Sort(out)
	return out
}

// layRuns returns runs of all kinds between the markers, which are noise.
func (d *Disk) layRuns(rng *rand.Rand, size int64) []imgtest.Run {
	runs := []imgtest.Run{{Off: 0, Len: 2 * sectorBytes, Kind: imgtest.Noise}}
	for _, lba := range d.markers {
		runs = append(runs, imgtest.Run{Off: lba * sectorBytes, Len: sectorBytes, Kind: imgtest.Noise})
	}
	fixed := slices.Clone(runs)
	kinds := [...]imgtest.Kind{imgtest.Noise, imgtest.Text, imgtest.Zero}
	for i := range dataRuns {
		// Near a marker, or anywhere.
		off := rng.Int64N(size)
		if i%2 == 0 {
			off = d.markers[rng.IntN(len(d.markers))]*sectorBytes - rng.Int64N(maxRun)
		}
		r := imgtest.Run{Off: max(off, 2*sectorBytes), Kind: kinds[i%len(kinds)]}
		r.Len = min(1+rng.Int64N(maxRun), size-r.Off)
		runs = append(runs, r)
	}
	return cutOverlaps(runs, len(fixed))
}

// cutOverlaps cuts the runs after the first fixed ones into what those before
// them leave free.
func cutOverlaps(runs []imgtest.Run, fixed int) []imgtest.Run {
	out := slices.Clone(runs[:fixed])
	for _, r := range runs[fixed:] {
		slices.SortFunc(out, func(a, b imgtest.Run) int { return int(min(1, max(-1, a.Off-b.Off))) })
		off, end := r.Off, r.End()
		var free []imgtest.Run
		for _, o := range out {
			if o.End() <= off || o.Off >= end {
				continue
			}
			if o.Off > off {
				free = append(free, imgtest.Run{Off: off, Len: o.Off - off, Kind: r.Kind})
			}
			off = o.End()
		}
		if off < end {
			free = append(free, imgtest.Run{Off: off, Len: end - off, Kind: r.Kind})
		}
		out = append(out, free...)
	}
	return out
}

// marker returns the sector of a marker: its LBA, noise, checksum.
func (d *Disk) marker(lba int64) []byte {
	s := make([]byte, sectorBytes)
	if _, err := d.Disk.ReadAt(s, lba*sectorBytes); err != nil && err != io.EOF {
		panic(err)
	}
	binary.LittleEndian.PutUint64(s, uint64(lba))
	seal(s)
	return s
}

// table returns the table's sector: all markers, and whole sectors of zeros
// behind the data and anywhere.
func (d *Disk) table(rng *rand.Rand) []byte {
	entries := make([]uint64, 0, maxEntries)
	for _, lba := range d.markers {
		entries = append(entries, uint64(lba))
	}
	total := d.Size() / sectorBytes
	for range 10 * zeroes {
		lba := rng.Int64N(total)
		if rng.IntN(2) == 0 {
			lba = d.markers[rng.IntN(len(d.markers))] + 1 + rng.Int64N(200)
		}
		if lba < total && d.isZero(lba) && len(entries) < maxEntries && !slices.Contains(entries, uint64(lba)|zeroFlag) {
			entries = append(entries, uint64(lba)|zeroFlag)
		}
	}
	rng.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	s := make([]byte, sectorBytes)
	binary.LittleEndian.PutUint16(s, uint16(len(entries)))
	for i, e := range entries {
		binary.LittleEndian.PutUint64(s[8+8*i:], e)
	}
	seal(s)
	return s
}

// isZero reports whether no byte of the sector is data.
func (d *Disk) isZero(lba int64) bool {
	start, end, err := d.NextData(lba * sectorBytes)
	return err == nil && (start == end || start >= (lba+1)*sectorBytes)
}

// Markers returns the guest offsets of the markers, in bytes, ascending.
func (d *Disk) Markers() []int64 {
	out := make([]int64, len(d.markers))
	for i, lba := range d.markers {
		out[i] = lba * sectorBytes
	}
	return out
}

// ReadAt fills p with the guest bytes at off, as io.ReaderAt says.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.Disk.ReadAt(p, off)
	if err != nil && err != io.EOF {
		return n, err
	}
	end := off + int64(n)
	patch := func(lba int64) {
		at := lba * sectorBytes
		if at < end && at+sectorBytes > off {
			copy(p[max(0, at-off):n], d.sectors[lba][max(0, off-at):])
		}
	}
	patch(0)
	patch(1)
	i, _ := slices.BinarySearch(d.markers, off/sectorBytes)
	for ; i < len(d.markers) && d.markers[i]*sectorBytes < end; i++ {
		patch(d.markers[i])
	}
	return n, err
}

// WriteRaw writes the disk as a sparse raw file into the test's own folder and
// returns its path: holes stay holes, stored zeros are written.
func (d *Disk) WriteRaw(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "boot.raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(d.Size()); err != nil {
		t.Fatal(err)
	}
	for _, r := range d.Runs() {
		if r.Kind == imgtest.Hole {
			continue
		}
		b := make([]byte, r.Len)
		imgtest.ReadFull(t, d, b, r.Off)
		if _, err := f.WriteAt(b, r.Off); err != nil {
			t.Fatal(err)
		}
	}
	return path
}
