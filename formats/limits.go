package formats

// Limits bound what opening and reading one image may cost. Each has a reason;
// the zero value allows nothing, so start from DefaultLimits.
type Limits struct {
	// VirtualSize is the largest virtual size, bytes. 64 TiB is VHDX's own
	// limit and the largest disk that the common clouds attach.
	VirtualSize int64
	// TableBytes is the largest single table that is held in memory: 32 MiB
	// is qemu's own bound for a qcow2 L1 table and reaches every real image.
	TableBytes int64
	// DescriptorBytes is the largest text descriptor (VMDK): real ones have
	// less than 2 KiB.
	DescriptorBytes int64
	// CacheBytes is how much table data a disk may keep cached.
	CacheBytes int64
	// BlockBytes is the largest cluster, grain or block that is inflated in
	// one piece.
	BlockBytes int64
	// ExpansionRatio is how many guest bytes one byte of a compressed image
	// may stand for; deflate cannot honestly exceed 1032.
	ExpansionRatio int64
	// RefcountBytes is the largest refcount table of a qcow2, bytes, Snapshots how
	// many snapshots one may name, and SnapshotBytes the largest table of them,
	// bytes. All three are qemu's own bounds; snapshots are left behind.
	RefcountBytes int64
	Snapshots     int64
	SnapshotBytes int64
}

// DefaultLimits returns the limits that fit every honest image.
func DefaultLimits() Limits {
	return Limits{
		VirtualSize:     64 << 40,
		TableBytes:      32 << 20,
		DescriptorBytes: 1<<20 - 1,
		CacheBytes:      16 << 20,
		BlockBytes:      2 << 20,
		ExpansionRatio:  2000,
		RefcountBytes:   8 << 20,
		Snapshots:       65536,
		SnapshotBytes:   64 << 20,
	}
}
