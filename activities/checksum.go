package activities

import (
	"context"

	"ingest/internal/contract"
)

// ChecksumActivityName is the activity's name.
const ChecksumActivityName = contract.ChecksumActivity

// A ChecksumActivity seals an upload and reads it back.
type ChecksumActivity struct{ d Deps }

// NewChecksumActivity returns the activity.
func NewChecksumActivity(d Deps) *ChecksumActivity { return &ChecksumActivity{d} }

// Execute reads; another attempt goes on behind the last hint of this one, and
// another activity behind that which was paused.
func (a *ChecksumActivity) Execute(ctx context.Context, p contract.ChecksumParams) (contract.Checksummed, error) {
	w := work{stage: contract.StageChecksum, taskID: p.TaskID, imageID: p.ImageID, disk: p.Disk, moves: true, heavy: true}
	resume := earlier(ctx).Resume
	if len(resume) == 0 {
		resume = p.Resume
	}
	w.resume = resume
	return attempt(ctx, a.d, w, func(ctx context.Context, b *beat) (contract.Checksummed, error) {
		return a.d.Steps.Checksum(ctx, p, resume, b.observe)
	})
}
