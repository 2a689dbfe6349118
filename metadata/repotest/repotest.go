package repotest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// noon is a moment with microseconds, as the catalogue keeps them.
var noon = time.Date(2031, 5, 6, 12, 0, 0, 123456000, time.UTC)

// Run runs the suite. open returns a repository that is empty and of its own;
// the suite closes it.
func Run(t *testing.T, open func(testing.TB) metadata.Repository) {
	tests := []struct {
		name string
		run  func(*testing.T, metadata.Repository)
	}{
		{"ImageRoundTrip", imageRoundTrip},
		{"TaskRoundTrip", taskRoundTrip},
		{"EventRoundTrip", eventRoundTrip},
		{"Locations", locations},
		{"ProvenanceRoundTrip", provenanceRoundTrip},
		{"ProvenanceNeedsItsImage", provenanceNeedsItsImage},
		{"ReservationRoundTrip", reservationRoundTrip},
		{"MetadefRoundTrip", metadefRoundTrip},
		{"NamespaceFilters", namespaceFilters},
		{"NamespacePages", namespacePages},
		{"NamespaceContent", namespaceContent},
		{"RefusedMetadefs", refusedMetadefs},
		{"WebhookRoundTrip", webhookRoundTrip},
		{"Outbox", outbox},
		{"ManyClaim", manyClaim},
		{"BulkRoundTrip", bulkRoundTrip},
		{"BulkTurns", bulkTurns},
		{"BulkHosts", bulkHosts},
		{"BulkDone", bulkDone},
		{"BulkTasks", bulkTasks},
		{"BandwidthRoundTrip", bandwidthRoundTrip},
		{"BandwidthItems", bandwidthItems},
		{"ManyShareBandwidth", manyShareBandwidth},
		{"ScheduleRoundTrip", scheduleRoundTrip},
		{"RunsOfSchedules", runsOfSchedules},
		{"ManyBeginRuns", manyBeginRuns},
		{"ManySwitch", manySwitch},
		{"DeletedTasks", deletedTasks},
		{"Purge", purge},
		{"Usage", usage},
		{"ManyReserve", manyReserve},
		{"Uploads", uploads},
		{"Replace", replace},
		{"NotFound", notFound},
		{"Texts", texts},
		{"RefusedTexts", refusedTexts},
		{"LongTexts", longTexts},
		{"RollBack", rollBack},
		{"OwnErrors", ownErrors},
		{"Panic", panics},
		{"Cancel", cancel},
		{"View", view},
		{"ImageFilters", imageFilters},
		{"ManyMarks", manyMarks},
		{"RandomLists", randomLists},
		{"HostileFilters", hostileFilters},
		{"Members", members},
		{"ManyAddMembers", manyAddMembers},
		{"TaskFilters", taskFilters},
		{"ImagePages", imagePages},
		{"TaskPages", taskPages},
		{"UnknownMarker", unknownMarker},
		{"IdempotencyKeys", idempotencyKeys},
		{"ManyAcceptOneKey", manyAcceptOneKey},
		{"OnceRoundTrip", onceRoundTrip},
		{"ManyCreateOneKey", manyCreateOneKey},
		{"ManyIncrement", manyIncrement},
		{"ManyInsertOneID", manyInsertOneID},
		{"ReadersBesideWriters", readersBesideWriters},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			repo := open(t)
			t.Cleanup(func() {
				if err := repo.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			tt.run(t, repo)
		})
	}
}

// Persistence checks that what was committed is there after the repository was
// closed. Every call of open opens the same database, empty at first.
func Persistence(t *testing.T, open func(testing.TB) metadata.Repository) {
	img, task := fullImage("image-1"), fullTask("task-1")
	repo := open(t)
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		return errors.Join(tx.PutImage(ctx, img), tx.PutTask(ctx, task), tx.AddEvent(ctx, fullEvent("task-1")),
			tx.PutProvenance(ctx, fullProvenance(img.ID)))
	})
	if err := repo.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		repo = open(t)
		do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
			gotImage, err1 := tx.Image(ctx, img.ID)
			gotTask, err2 := tx.Task(ctx, task.ID)
			events, err3 := tx.Events(ctx, task.ID)
			record, err4 := tx.Provenance(ctx, img.ID)
			same(t, record, fullProvenance(img.ID))
			same(t, gotImage, img)
			same(t, gotTask, task)
			if len(events) != 1 {
				t.Errorf("%d events after opening again, want 1", len(events))
			}
			return errors.Join(err1, err2, err3, err4)
		})
		if err := repo.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// do runs fn in a transaction that must commit.
func do(t testing.TB, repo metadata.Repository, fn func(context.Context, metadata.Tx) error) {
	t.Helper()
	ctx := t.Context()
	if err := repo.InTx(ctx, func(tx metadata.Tx) error { return fn(ctx, tx) }); err != nil {
		t.Fatal(err)
	}
}

// same compares what was read with what was written. An empty list reads as nil.
func same(t testing.TB, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("read differs from what was written (-want +got):\n%s", diff)
	}
}

// coded fails the test unless err carries the code.
func coded(t testing.TB, err error, want errcode.Code) {
	t.Helper()
	if got := errcode.Of(err); got != want {
		t.Errorf("error %v has code %q, want %q", err, got, want)
	}
}

func ptr[T any](v T) *T { return &v }

// fullImage has every field set.
func fullImage(id string) metadata.Image {
	return metadata.Image{
		ID: id, Name: "an image", Owner: "project", Status: metadata.ImageActive, Visibility: "public",
		Protected: true, Hidden: true, DiskFormat: "qcow2", ContainerFormat: "bare",
		Size: ptr(int64(1) << 62), VirtualSize: ptr(int64(0)),
		Checksum: "md5", HashAlgo: "sha512", HashValue: strings.Repeat("f", 128), ContentDigest: "blocks:abc",
		Store: "fs", Key: id + "/upload", MinDisk: 3, MinRAM: 4,
		Copies: []metadata.Copy{
			{Location: metadata.Location{Store: "z", Key: id + "/second"}, Status: metadata.CopyActive, Metadata: map[string]string{"url": "é"}, CreatedAt: noon},
			{Location: metadata.Location{Store: "a", Key: id + "/third"}, Status: "unknown", CreatedAt: noon.Add(time.Microsecond)},
		},
		Tags: []string{"b", "a"}, Properties: map[string]string{"os_distro": "debian", "empty": ""},
		CreatedAt: noon, UpdatedAt: noon.Add(time.Microsecond), DeletedAt: ptr(noon.Add(time.Hour)),
	}
}

// fullTask has every field set.
func fullTask(id string) metadata.Task {
	return metadata.Task{
		ID: id, Type: "import", Status: metadata.TaskFailure, Stage: "convert", Owner: "project",
		UserID: "user", RequestID: "req-1", ImageID: "image-1", WorkflowID: "import/project/" + id,
		IdempotencyKey: "key of " + id, Request: json.RawMessage(`{"b": 1,  "a":[2.50]}`),
		Result: json.RawMessage(`null`), Message: "what happened",
		Error: &metadata.TaskError{Code: errcode.Truncated, Message: "cut short", Stage: "detect",
			Evidence: &errcode.Evidence{Format: "qcow2", Offset: ptr(int64(7)), Value: "\x00"}, Remedy: "again"},
		Restarts: 3, Paused: true, Priority: 9, RetryOf: "task-0", Steered: 5, SteerTold: 4, CreatedAt: noon, UpdatedAt: noon.Add(time.Second), ExpiresAt: ptr(noon.Add(48 * time.Hour)),
	}
}

func fullEvent(taskID string) metadata.Event {
	return metadata.Event{
		TaskID: taskID, At: noon, Kind: "report", Status: "processing", Stage: "detect", Attempt: 2,
		Bytes: 1 << 40, Duration: 3 * time.Nanosecond, Code: "IMG_TRUNCATED", Message: "cut", Detail: json.RawMessage(`{"a": [1]}`),
	}
}

func numbered(prefix string, n int) string { return fmt.Sprintf("%s-%03d", prefix, n) }
