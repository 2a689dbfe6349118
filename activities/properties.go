package activities

import "ingest/internal/contract"

// guestProperties are those that were found inside the disk.
func (d doneDisk) guestProperties() map[string]string {
	if d.Guest == nil {
		return nil
	}
	return d.Guest.Properties
}

// minDisk is the image's min_disk, GiB: that of the disk as it is stored, which some
// formats make larger than it was. It is 0 for what is no disk.
func (d doneDisk) minDisk() int64 {
	if d.Guest == nil || d.Guest.MinDisk == 0 {
		return 0
	}
	return max(d.Guest.MinDisk, contract.MinDisk(d.Converted.VirtualSize))
}
