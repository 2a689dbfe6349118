package vhdx

import (
	"encoding/binary"
	"fmt"

	"ingest/internal/errcode"
)

const (
	locatorHeaderBytes = 20
	locatorEntryBytes  = 12
)

// locatorVHDX is the one type of parent locator that the specification defines
// (2.6.2.6.3).
func locatorVHDX() guid {
	return guid{0xB7, 0xEF, 0x4A, 0xB0, 0x9E, 0xD1, 0x81, 0x4A, 0xB7, 0x89, 0x25, 0xB8, 0xE9, 0x44, 0x59, 0x13}
}

// linkages are the keys of a parent locator that hold the parent's identity. The
// second is written while a child is merged into its parent.
func linkages() [2]string { return [2]string{"parent_linkage", "parent_linkage2"} }

// readLocator takes the parent's identity and paths from a parent locator
// (2.6.2.6), the paths in the order in which a parent would be looked for. They
// are only told.
func (m *metadata) readLocator(p []byte) error {
	refuse := func(value any, format string, args ...any) error {
		return m.refuse(errcode.VHDXMetadata, parentLocator, value, fmt.Sprintf("%d bytes", len(p)), format, args...)
	}
	if len(p) < locatorHeaderBytes {
		return refuse(len(p), "a parent locator of %d bytes", len(p))
	}
	m.locatorKnown = guid(p[:16]) == locatorVHDX()
	n := int(binary.LittleEndian.Uint16(p[18:]))
	if locatorHeaderBytes+n*locatorEntryBytes > len(p) {
		return refuse(n, "a parent locator of %d entries passes its item", n)
	}
	values := map[string]string{}
	for i := range n {
		q := p[locatorHeaderBytes+i*locatorEntryBytes:]
		key, ok1 := part(p, binary.LittleEndian.Uint32(q), binary.LittleEndian.Uint16(q[8:]))
		value, ok2 := part(p, binary.LittleEndian.Uint32(q[4:]), binary.LittleEndian.Uint16(q[10:]))
		if !ok1 || !ok2 {
			return refuse(i, "entry %d of the parent locator passes its item", i)
		}
		// Keys are short; one that is not is none that is known, and decoding
		// 64 Ki of them at 64 KiB each would take long.
		if len(key) > 64 {
			continue
		}
		switch k := text(key); k {
		case "relative_path", "volume_path", "absolute_win32_path", linkages()[0], linkages()[1]:
			if _, twice := values[k]; twice {
				return refuse(k, "the parent locator names %s twice", k)
			}
			values[k] = text(value)
		}
	}
	for _, k := range []string{"relative_path", "volume_path", "absolute_win32_path"} {
		if v, ok := values[k]; ok {
			m.parents = append(m.parents, v)
		}
	}
	for i, k := range linkages() {
		m.linkage[i] = values[k]
	}
	return nil
}

// part returns n bytes of p at off, if p has them.
func part(p []byte, off uint32, n uint16) ([]byte, bool) {
	if uint64(off)+uint64(n) > uint64(len(p)) {
		return nil, false
	}
	return p[off : int64(off)+int64(n)], true
}
