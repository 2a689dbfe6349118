package vhdx

import (
	"encoding/binary"
	"os"
	"testing"

	"ingest/formats/formattest"
	"ingest/internal/imgtest"
)

// Parts of a file that a fuzzer should change: everything between them is
// padding of a MiB each, in which it would drown.
var fuzzParts = [...]struct{ at, n int }{
	{header1Off, 96},
	{header2Off, 96},
	{region1Off, 16 + 4*32},
	{region2Off, 16 + 4*32},
	{mib, 4 * logSector},     // log
	{2 * mib, 256},           // BAT
	{3 * mib, 32 + 8*32},     // metadata table
	{3*mib + 64*kib, 256},    // metadata items
	{4 * mib, 2 * logSector}, // block
}

// FuzzOpen opens files that are put together from parts, as they are and with
// their checksums made right. size cuts the file off.
func FuzzOpen(f *testing.F) {
	formattest.Seeds(f)
	seed := func(file []byte) {
		var p [][]byte
		for _, x := range fuzzParts {
			q := make([]byte, x.n)
			copy(q, file[min(x.at, len(file)):])
			p = append(p, q)
		}
		f.Add(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], uint32(6*mib))
	}
	disk := imgtest.New(2*mib, 1, imgtest.Run{Off: 0, Len: 9000, Kind: imgtest.Noise})
	seed(newBuilder(disk, mib).bytes())
	child := newBuilder(disk, mib)
	child.flags, child.logical = hasParent, 4096
	child.locator = locatorOf([2]string{"relative_path", "base"})
	seed(child.bytes())
	for _, c := range dirtyCases() {
		b := newBuilder(disk, mib)
		b.state[1] = blockFullyPresent
		seed(c.make(b, b.bytes()))
	}
	for _, o := range []string{"subformat=dynamic,block_size=1M", "subformat=fixed"} {
		b, err := os.ReadFile(imgtest.Convert(f, imgtest.WriteRaw(f, disk), "raw", "vhdx", o))
		if err != nil {
			f.Fatal(err)
		}
		seed(b)
	}
	f.Fuzz(func(t *testing.T, a, b, c, d, e, g, h, i, j []byte, size uint32) {
		file := make([]byte, min(int(size), 8*mib))
		copy(file, fileMagic)
		for k, p := range [][]byte{a, b, c, d, e, g, h, i, j} {
			if x := fuzzParts[k]; x.at < len(file) {
				copy(file[x.at:], p[:min(len(p), 64*kib)])
			}
		}
		formattest.Fuzz(t, Format{}, file)
		repair(file)
		formattest.Fuzz(t, Format{}, file)
	})
}

// repair makes the checksums right, without which the fuzzer would not get
// past the headers.
func repair(f []byte) {
	if len(f) < 2*mib {
		return
	}
	seal(f[header1Off:][:headerBytes])
	seal(f[header2Off:][:headerBytes])
	seal(f[region1Off:][:regionTableBytes])
	seal(f[region2Off:][:regionTableBytes])
	ring := f[mib : 2*mib]
	for at := 0; at < len(ring); at += logSector {
		if string(ring[at:at+4]) != "loge" {
			continue
		}
		n := int(binary.LittleEndian.Uint32(ring[at+8:]))
		if n >= logSector && n <= len(ring)-at {
			seal(ring[at:][:n])
		}
	}
}
