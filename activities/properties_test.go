package activities

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/guest"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/pipeline"
)

// What validate found inside stands in the report, travels in its result, and becomes
// properties with activate, except what the owner set.
func TestInsideBecomesProperties(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	if err := b.deps.Catalogue.Start(ctx, taskID); err != nil {
		t.Fatal(err)
	}
	b.steps.OnLook = func(context.Context, contract.ValidateParams) (pipeline.Inside, error) {
		return pipeline.Inside{Summary: "Debian 12", MinDisk: 2, Facts: &guest.Facts{Properties: map[string]string{"os_distro": "debian", "os_type": "linux"}}}, nil
	}
	v := twice[contract.Validated](t, b, contract.ValidateActivity, contract.ValidateParams{TaskID: taskID})
	want := &contract.GuestFacts{Summary: "Debian 12", MinDisk: 2, Properties: map[string]string{"os_distro": "debian", "os_type": "linux"}}
	if diff := cmp.Diff(want, v.Guest); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	kept := 0
	evs, err := b.deps.Catalogue.Events(ctx, taskID)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range evs {
		var d struct{ Guest *pipeline.Inside }
		if e.Kind == metadata.EventReport && json.Unmarshal(e.Detail, &d) == nil && d.Guest != nil && d.Guest.Summary == "Debian 12" {
			kept++
		}
	}
	if kept != 1 {
		t.Errorf("%d reports, want one", kept)
	}
	p := activateParams()
	p.Guest = v.Guest
	p.Converted.VirtualSize = 3<<30 + 512
	second := contract.DiskImageID(taskID, imageID, 2)
	p.Further = []contract.DiskDone{{Disk: 2, ImageID: second, Target: p.Target, Converted: p.Converted, Checksummed: p.Checksummed,
		Stored: contract.Stored{Store: "local", Key: second + "/u"}}}
	twice[contract.ImportResult](t, b, contract.ActivateActivity, p)
	for id, want := range map[string]struct {
		min    int64
		distro string
	}{imageID: {4, "debian"}, second: {0, ""}} {
		img, err := b.deps.Catalogue.Image(ctx, id)
		if err != nil || img.MinDisk != want.min || img.Properties["os_distro"] != want.distro {
			t.Errorf("image %s: min_disk %d, %v, %v", id, img.MinDisk, img.Properties, err)
		}
	}
}

// What a source's own catalogue says of its image stands where nobody has said
// anything, above what is found inside.
func TestCatalogueBecomesTheImage(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	if err := b.deps.Catalogue.Start(ctx, taskID); err != nil {
		t.Fatal(err)
	}
	p := activateParams()
	p.Guest = &contract.GuestFacts{MinDisk: 1, Properties: map[string]string{"os_distro": "debian", "os_version": "12", "architecture": "x86_64"}}
	p.Fetched.About = &contract.About{Name: "web\x00", MinDisk: 7, MinRAM: 512, Hidden: true, Tags: []string{"blue"},
		Properties: map[string]string{"os_distro": "ubuntu", "hw_disk_bus": "scsi"}}
	twice[contract.ImportResult](t, b, contract.ActivateActivity, p)
	img, err := b.deps.Catalogue.Image(ctx, imageID)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"os_distro": "ubuntu", "hw_disk_bus": "scsi", "architecture": "x86_64"}
	for name, value := range want {
		if img.Properties[name] != value {
			t.Errorf("%s=%q, want %q", name, img.Properties[name], value)
		}
	}
	// The version is that of the system which the catalogue does not name.
	if _, ok := img.Properties["os_version"]; ok || img.Name != "web\ufffd" || img.MinDisk != 7 || img.MinRAM != 512 || !img.Hidden || !cmp.Equal(img.Tags, []string{"blue"}) {
		t.Errorf("image %+v", img)
	}
}

// What another cloud says is not beyond property protections: an import leaves a property
// out that its user may not create, and a clone, which has all, is refused.
func TestCatalogueIsHeldAgainstProtections(t *testing.T) {
	for _, c := range []struct {
		name  string
		asIs  bool
		roles []string
		want  errcode.Code
		takes bool
	}{
		{"an import", false, []string{"member"}, "", false}, {"an import of whom it is allowed to", false, []string{"billing"}, "", true},
		{"an import of nobody", false, nil, "", false},
		{"a clone", true, []string{"member"}, errcode.Forbidden, false}, {"a clone of whom it is allowed to", true, []string{"billing"}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.deps.MayCreate = func(r contract.ImportRequest, property string) bool {
				return property != "x_billing" || slices.Contains(r.Roles, "billing")
			}
			if err := b.deps.Catalogue.Start(t.Context(), taskID); err != nil {
				t.Fatal(err)
			}
			p := activateParams()
			p.Target.AsIs, p.Request.Roles = c.asIs, c.roles
			p.Fetched.About = &contract.About{Name: "web", Properties: map[string]string{"x_billing": "gold", "hw_disk_bus": "scsi"}}
			_, err := b.run(contract.ActivateActivity, p)
			if c.want != "" {
				if app := appError(t, err); app.Type() != string(c.want) || !app.NonRetryable() {
					t.Errorf("ended with %v", app)
				}
				return
			}
			img, err2 := b.deps.Catalogue.Image(t.Context(), imageID)
			if _, has := img.Properties["x_billing"]; err != nil || err2 != nil || has != c.takes || img.Properties["hw_disk_bus"] != "scsi" {
				t.Errorf("properties %v, %v, %v", img.Properties, err, err2)
			}
		})
	}
}

// A source that fails while its disk is looked into fails the attempt, and the
// findings of the structure are kept all the same.
func TestSourceThatChangesWhileItIsLookedInto(t *testing.T) {
	b := newBench(t)
	before := events(t, b)
	b.steps.OnLook = func(context.Context, contract.ValidateParams) (pipeline.Inside, error) {
		return pipeline.Inside{}, errcode.New(errcode.SourceChanged, "the source changed")
	}
	_, err := b.run(contract.ValidateActivity, contract.ValidateParams{TaskID: taskID})
	if app := appError(t, err); app.Type() != string(errcode.SourceChanged) {
		t.Errorf("ended with %v", app)
	}
	if events(t, b) == before {
		t.Error("no report is kept")
	}
}
