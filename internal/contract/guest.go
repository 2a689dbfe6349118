package contract

// GuestFacts is what of a disk's inside goes into the catalogue. The whole report
// stands in the task's events.
type GuestFacts struct {
	// Summary says in one line what the disk is, for people.
	Summary string `json:"summary,omitempty"`
	// Properties are Glance's, of what is certain only. The image gets those that
	// nobody else has set.
	Properties map[string]string `json:"properties,omitempty"`
	// MinDisk is the smallest root disk that the image fits, GiB.
	MinDisk int64 `json:"min_disk,omitempty"`
}

// gib is the unit of min_disk, bytes.
const gib = 1 << 30

// MinDisk returns the smallest root disk that holds a disk of size bytes, in GiB: at
// least 1, for Nova and Glance take 0 as no demand.
func MinDisk(size int64) int64 {
	n := size / gib
	if size%gib > 0 || n < 1 {
		n++
	}
	return n
}
