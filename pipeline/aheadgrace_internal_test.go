package pipeline

import "time"

// What a conversion ahead has written is to be gone on with in these tests, also where a
// busy disk takes seconds for its last note.
func init() { aheadGrace = time.Minute }
