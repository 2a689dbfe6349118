package metadata_test

import (
	"slices"
	"strings"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// The matrices restate Glance's rules in another form than the package does: a
// row is where from, a column where to, in the order of the head line.
const imageMatrix = `
               queued saving uploading importing active deactivated killed deleted pending_delete
queued         same   yes    yes       yes       yes    no          no     yes     no
saving         yes    same   no        no        yes    no          yes    yes     no
uploading      yes    no     same      yes       no     no          no     yes     no
importing      yes    no     no        same      yes    no          no     yes     no
active         no     no     no        no        same   yes         no     yes     yes
deactivated    no     no     no        no        yes    same        no     yes     no
killed         no     no     no        no        no     no          same   yes     no
deleted        no     no     no        no        no     no          no     same    no
pending_delete no     no     no        no        yes    no          no     yes     same`

const taskMatrix = `
           pending processing success failure
pending    same    yes        no      yes
processing no      same       yes     yes
success    no      no         same    no
failure    no      no         no      same`

func TestImageTransitions(t *testing.T) {
	checkMatrix(t, imageMatrix, metadata.ImageStatuses(), metadata.CheckImageTransition)
}

func TestTaskTransitions(t *testing.T) {
	checkMatrix(t, taskMatrix, metadata.TaskStatuses(), metadata.CheckTaskTransition)
}

func checkMatrix[S ~string](t *testing.T, matrix string, statuses []S, check func(from, to S) error) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(matrix), "\n")
	head := strings.Fields(lines[0])
	if len(head) != len(statuses) || len(lines) != len(statuses)+1 {
		t.Fatalf("the matrix has %d columns and %d rows for %d statuses", len(head), len(lines)-1, len(statuses))
	}
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		from := S(cells[0])
		if !slices.Contains(statuses, from) {
			t.Errorf("status %q is not listed", from)
		}
		for i, cell := range cells[1:] {
			err := check(from, S(head[i]))
			if legal := cell != "no"; legal != (err == nil) {
				t.Errorf("%s -> %s: got error %v, want legal %v", from, head[i], err, legal)
			}
			if err != nil && errcode.Of(err) != errcode.StatusTransition {
				t.Errorf("%s -> %s: code %s", from, head[i], errcode.Of(err))
			}
		}
	}
	for _, odd := range []S{"", "QUEUED", "unknown"} {
		if check(odd, odd) == nil || check(odd, statuses[0]) == nil || check(statuses[0], odd) == nil {
			t.Errorf("the unknown status %q is taken", odd)
		}
	}
}

func TestFinished(t *testing.T) {
	for status, want := range map[metadata.TaskStatus]bool{"pending": false, "processing": false, "success": true, "failure": true} {
		if status.Finished() != want {
			t.Errorf("%s: finished %v, want %v", status, !want, want)
		}
	}
}
