package activities

import (
	"context"
	"errors"

	"ingest/internal/contract"
	"ingest/pipeline"
)

// FetchActivityName is the activity's name.
const FetchActivityName = contract.FetchActivity

// verificationReport is the stage of the report that says by what the source was
// verified.
const verificationReport = "verification"

// sourceReport is the stage of the report that says what of the source was left out.
const sourceReport = "source"

// A FetchActivity pins a source, and stages it if it cannot be read where it
// lies.
type FetchActivity struct{ d Deps }

// NewFetchActivity returns the activity.
func NewFetchActivity(d Deps) *FetchActivity { return &FetchActivity{d} }

// fetchedFile is a file of an image in the stage's report. Its URL stays out: it
// may be signed.
type fetchedFile struct {
	Name   string `json:"name,omitempty"` // of a member
	Size   int64  `json:"size"`           // bytes
	Staged bool   `json:"staged"`         // false: read where it lies
	Digest string `json:"digest,omitempty"`
}

// reportOf lists the files of an image that has several, the first one first.
func reportOf(f contract.Fetched) map[string][]fetchedFile {
	files := []fetchedFile{{"", f.Size, f.Staged, f.SourceDigest}}
	for _, m := range f.Members {
		files = append(files, fetchedFile{m.Name, m.Size, m.Staged, m.SourceDigest})
	}
	return map[string][]fetchedFile{"files": files}
}

// Execute fetches; another attempt goes on with what is staged. What the files
// of an image are is kept as a report, if it has several; so is the verdict on one
// that its first bytes refuse, where detection would have put it.
func (a *FetchActivity) Execute(ctx context.Context, p contract.FetchParams) (contract.Fetched, error) {
	w := work{stage: contract.StageFetch, taskID: p.TaskID, imageID: p.ImageID, moves: true}
	return attempt(ctx, a.d, w, func(ctx context.Context, b *beat) (contract.Fetched, error) {
		out, err := a.d.Steps.Fetch(ctx, p, b.observe)
		if err == nil && len(out.Members) > 0 {
			err = a.d.Catalogue.AddReport(ctx, p.TaskID, "", string(w.stage), reportOf(out))
		}
		if err == nil && len(out.Verifications) > 0 {
			err = a.d.Catalogue.AddReport(ctx, p.TaskID, "", verificationReport, map[string][]contract.Verification{"verifications": out.Verifications})
		}
		if err == nil && len(out.Notes) > 0 {
			err = a.d.Catalogue.AddReport(ctx, p.TaskID, "", sourceReport, map[string][]string{"notes": out.Notes})
		}
		if refused := new(pipeline.Refused); errors.As(err, &refused) {
			err = errors.Join(err, a.d.Catalogue.AddReport(ctx, p.TaskID, "", string(contract.StageDetect), refused.Report))
		}
		return out, err
	})
}
