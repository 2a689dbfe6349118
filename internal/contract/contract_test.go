package contract

import (
	"strings"
	"testing"

	"ingest/internal/errcode"
)

func TestCheckNamesTheField(t *testing.T) {
	ok := ImportRequest{Source: SourceSpec{URL: "https://example.org/disk.qcow2"}}
	tests := []struct {
		name   string
		change func(*ImportRequest)
		field  string
	}{
		{"plain", func(*ImportRequest) {}, ""},
		{"ids", func(r *ImportRequest) {
			r.TaskID, r.ImageID = DerivedTaskID("w"), DerivedImageID("t", 0)
		}, ""},
		{"longest url", func(r *ImportRequest) { r.Source.URL = strings.Repeat("u", MaxURLBytes) }, ""},
		{"no url", func(r *ImportRequest) { r.Source.URL = "" }, "source.url"},
		{"url too long", func(r *ImportRequest) { r.Source.URL = strings.Repeat("u", MaxURLBytes+1) }, "source.url"},
		{"task id", func(r *ImportRequest) { r.TaskID = "../etc" }, "task_id"},
		{"image id in another form", func(r *ImportRequest) {
			r.ImageID = "{6f1c3a52-3d5e-5b0e-9a55-0d7f6f1f8c11}"
		}, "image_id"},
		{"min disk", func(r *ImportRequest) { r.Image.MinDisk = -1 }, "image.min_disk"},
		{"min ram", func(r *ImportRequest) { r.Image.MinRAM = -1 }, "image.min_ram"},
		{"visibility", func(r *ImportRequest) { r.Image.Visibility = "all" }, "image.visibility"},
		{"task type", func(r *ImportRequest) { r.TaskType = "export" }, "task_type"},
		{"verify", func(r *ImportRequest) { r.Verify = "some" }, "verify"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := ok
			tt.change(&r)
			err := r.Check()
			if tt.field == "" {
				if err != nil {
					t.Fatalf("Check = %v, want nil", err)
				}
				return
			}
			e, is := errcode.As(err)
			if !is || e.Code != errcode.BadRequest || e.Evidence == nil || e.Evidence.Field != tt.field {
				t.Errorf("Check = %v, want BAD_REQUEST on %s", err, tt.field)
			}
		})
	}
}

// The ids of uploads found by an earlier version must be found by a later one.
func TestDerivedIDsAreForEver(t *testing.T) {
	task := DerivedTaskID("import/p/1")
	got := []string{task, DerivedImageID(task, 0), DerivedUploadID(task, 1, "e1"), DerivedUploadID(task, 2, "e1")}
	want := []string{
		"dc070a33-69a5-59aa-bf18-aad310f477d0", "f08d87a5-8715-5b14-9edc-0252b57c43f0",
		"688f9eda-0b56-5225-9ccf-46b5a923f2e6", "a47d7525-b816-5d08-a4e4-39a38883fa74",
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("id %d = %s, want %s", i, got[i], want[i])
		}
	}
}

// The images of several disks have ids and names of their own; what a task of one
// disk has is as if there were no others.
func TestDisksOfATask(t *testing.T) {
	task, own := DerivedTaskID("import/p/1"), DerivedImageID("t", 0)
	if DiskImageID(task, own, 0) != own || DiskImageID(task, own, 1) != own || DiskPin("e1", 1) != "e1" || DiskPin("", 2) != "" {
		t.Error("the first disk is not the task's own image")
	}
	seen := map[string]bool{}
	for _, id := range TaskImageIDs(task, own) {
		seen[id] = true
	}
	if len(seen) != MaxDisks || !seen[own] || !seen[DiskImageID(task, own, MaxDisks)] {
		t.Errorf("%d ids of %d disks", len(seen), MaxDisks)
	}
	if got := DiskImageID(task, own, 2); got != DerivedImageID(task, 1) {
		t.Errorf("second image %s", got)
	}
	long := strings.Repeat("é", 255)
	for _, c := range []struct {
		own  string
		n    int
		want string
	}{{"web", 1, "web"}, {"web", 2, "web-disk2"}, {"", 3, "disk3"}, {long, 16, long[:2*(255-7)] + "-disk16"}} {
		if got := DiskName(c.own, c.n); got != c.want {
			t.Errorf("name %q of disk %d, want %q", got, c.n, c.want)
		}
	}
	for s, want := range map[string]int{DiskMessage(0): 0, DiskMessage(1): 1, DiskMessage(MaxDisks): MaxDisks, "disk 17": 0, "disk -1": 0, "disk full": 0, "waits": 0} {
		if got := DiskInMessage(s); got != want {
			t.Errorf("%q is of disk %d, want %d", s, got, want)
		}
	}
}
