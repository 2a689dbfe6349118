package activities

import (
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// TestRegisterOnActiveImages starts copies and exports by hand.
func TestRegisterOnActiveImages(t *testing.T) {
	urgent := 8
	for name, c := range map[string]struct {
		activity string
		taskType string
		params   func(id, image, workflow string, priority *int) any
	}{
		"copy": {contract.RegisterCopyActivity, defaultTaskType, func(id, image, workflow string, priority *int) any {
			return contract.RegisterCopyParams{WorkflowID: workflow, Request: contract.CopyRequest{TaskID: id, ImageID: image, Priority: priority,
				StoresSpec: contract.StoresSpec{Stores: []string{"b"}}}}
		}},
		"export": {contract.RegisterExportActivity, contract.TypeExport, func(id, image, workflow string, priority *int) any {
			return contract.RegisterExportParams{WorkflowID: workflow, Request: contract.ExportRequest{TaskID: id, ImageID: image, Priority: priority,
				Destination: contract.DestinationSpec{URL: "/exports/a"}}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for priority, want := range map[*int]int{nil: contract.DefaultPriority, &urgent: urgent} {
				s := newShop(t, metadata.ShareInProject)
				image := s.stored("import", "red", []byte("bytes"))
				s.activate(image)
				b := newBench(t)
				b.deps.Catalogue = s.cat
				id := contract.DerivedTaskID(name)
				if _, err := b.run(c.activity, c.params(id, image.Request.ImageID, "w1", priority)); err != nil {
					t.Fatal(err)
				}
				got := task(t, b, id)
				if got.Priority != want || got.Owner != "red" || got.Type != c.taskType || got.Status != metadata.TaskProcessing || got.WorkflowID != "w1" {
					t.Errorf("registered %+v", got)
				}
				conflict(t, b, c.activity, c.params(id, image.Request.ImageID, "w2", nil))
				conflict(t, b, c.activity, c.params(image.Request.TaskID, image.Request.ImageID, "w", nil))
			}
		})
	}
}

// conflict runs an activity that is refused: another workflow runs the task, or it does
// something else.
func conflict(t *testing.T, b *bench, activity string, params any) {
	t.Helper()
	_, err := b.run(activity, params)
	if app := appError(t, err); app.Type() != string(errcode.Conflict) || !app.NonRetryable() {
		t.Errorf("refused with %v", app)
	}
}
