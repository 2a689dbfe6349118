package vhdx

import (
	"bytes"
	"io"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
)

// chained opens a file as the child of a fixed parent, or as its parent.
type chained struct {
	Format
	other  []byte
	parent bool // the fuzzed file is the parent
}

func (c chained) Open(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	other := bytes.NewReader(c.other)
	if c.parent {
		return c.OpenSet(other, other.Size(), []formats.Member{{Name: "fuzzed", R: r, Size: size}}, lim)
	}
	return c.OpenSet(r, size, []formats.Member{{Name: "parent", R: other, Size: other.Size()}}, lim)
}

// FuzzOpenSet opens children that are put together from parts over a sound
// parent, and under a sound child.
func FuzzOpenSet(f *testing.F) {
	formattest.Seeds(f)
	base := badDisk()
	base.id = diskID(1)
	parent, child := base.bytes(), badChild(0).bytes()
	const bitmap = 6 * mib // of badChild
	seed := func(file []byte) {
		var p [][]byte
		for _, x := range fuzzParts {
			q := make([]byte, x.n)
			copy(q, file[x.at:])
			p = append(p, q)
		}
		entry := bytes.Clone(file[badBAT+8*4096:][:8])
		f.Add(p[0], p[2], p[4], p[5], p[6], p[7], entry, bytes.Clone(file[bitmap:][:600]), uint32(7*mib))
	}
	seed(child)
	seed(parent)
	seed(entry(2, blockZero)(bytes.Clone(child)))
	seed(entry(1, 5*mib|blockFullyPresent)(bytes.Clone(child)))
	logged := dirty(bytes.Clone(child), mib, logged{sequence: 3, writes: []write{{off: bitmap, zero: 4096}, {off: badBAT + 4096, zero: 4096}}})
	seed(logged)
	f.Fuzz(func(t *testing.T, head, regions, log, bat, table, items, entry, bits []byte, size uint32) {
		file := make([]byte, min(int(size), 8*mib))
		for _, x := range []struct {
			at int
			p  []byte
		}{
			{0, []byte(fileMagic)}, {header1Off, head}, {region1Off, regions}, {mib, log}, {badBAT, bat}, {badBAT + 8*4096, entry},
			{badMeta, table}, {badMeta + 64*kib, items}, {bitmap, bits},
		} {
			if x.at < len(file) {
				copy(file[x.at:], x.p[:min(len(x.p), 64*kib)])
			}
		}
		repair(file)
		formattest.Fuzz(t, chained{other: parent}, file)
		formattest.Fuzz(t, chained{other: child, parent: true}, file)
	})
}
