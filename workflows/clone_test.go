package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingest/detect"
	"ingest/formats"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/pipeline"
)

const cloneID = "0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11"

var cloneRequest = contract.ImportRequest{Owner: "p1", Source: contract.SourceSpec{URL: "glance://images.east.example.org/" + cloneID, Credential: "east"}}

// cloned is what the steps find of an image of another cloud.
func (b *bench) cloned() {
	b.steps.OnFetch = func(_ context.Context, p contract.FetchParams, o pipeline.Observe) (contract.Fetched, error) {
		o(1<<20, 1<<20, nil)
		f := contract.Fetched{URL: p.Source.URL, Driver: "glance", Size: 1 << 20, Validator: cloneID + " sha256:bb", Strong: true, Staged: true, SourceDigest: "sha256:bb"}
		f.About = &contract.About{Name: "web", DiskFormat: "qcow2", ContainerFormat: "bare", MinDisk: 3, MinRAM: 512, Tags: []string{"blue"},
			Properties: map[string]string{"hw_disk_bus": "scsi", "os_distro": "debian"}, Digests: []string{"sha256:bb"}}
		return f, nil
	}
	b.steps.OnDetect = func(context.Context, contract.DetectParams) (contract.Detected, detect.Report, error) {
		return contract.Detected{Format: "qcow2", VirtualSize: 5 << 30, AllocatedSize: 1 << 20}, detect.Report{Safe: true}, nil
	}
	b.steps.OnValidate = validatedAsIs
	b.steps.OnConvert = func(_ context.Context, p contract.ConvertParams, _ pipeline.Observe) (contract.Converted, error) {
		return contract.Converted{Store: "local", UploadID: p.Key[37:], Size: 1 << 20, VirtualSize: 1 << 20, SourceSize: 1 << 20, ContentDigest: "ingest1:of the file"}, nil
	}
}

func validatedAsIs(_ context.Context, p contract.ValidateParams) (contract.Validated, []formats.Finding, error) {
	t := contract.TargetSpec{Format: "raw", Compression: "none", Store: "local", AsIs: p.Target.AsIs, DiskFormat: "qcow2", ContainerFormat: "bare"}
	return contract.Validated{Target: t, Guest: &contract.GuestFacts{MinDisk: 5, Properties: map[string]string{"os_type": "linux"}}}, nil, nil
}

// clone runs the workflow to its end.
func (b *bench) clone(r contract.ImportRequest) (contract.ImportResult, error) {
	b.t.Helper()
	return b.runAs(contract.CloneWorkflow, r)
}

func TestCloneImage(t *testing.T) {
	b := newBench(t)
	b.cloned()
	got, err := b.clone(cloneRequest)
	if err != nil || len(got.Images) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, c := range b.steps.Calls() {
		asIs := true
		switch p := c.Params.(type) {
		case contract.FetchParams:
			asIs = p.AsIs && p.Ahead.Target.AsIs
		case contract.DetectParams:
			asIs = p.AsIs
		case contract.ValidateParams:
			asIs = p.Target.AsIs
		case contract.ConvertParams:
			asIs = p.Target.AsIs
		case contract.ChecksumParams:
			asIs = p.Target.AsIs && p.Digest == "sha256:bb"
		}
		if !asIs {
			t.Errorf("%s is not told that the bytes stay as they are: %+v", c.Stage, c.Params)
		}
	}
	img := b.image()
	props := map[string]string{"hw_disk_bus": "scsi", "os_distro": "debian"}
	if img.Status != metadata.ImageActive || img.DiskFormat != "qcow2" || img.ContainerFormat != "bare" || *img.Size != 1<<20 || *img.VirtualSize != 5<<30 || img.ContentDigest != "" {
		t.Errorf("bytes of the image: %+v", img)
	}
	if img.Name != "web" || img.MinDisk != 3 || img.MinRAM != 512 || !cmp.Equal(img.Tags, []string{"blue"}) || !cmp.Equal(img.Properties, props) || img.Visibility != "private" || img.Protected {
		t.Errorf("description of the image: %+v", img)
	}
	if task := b.task(); task.Type != contract.TypeClone || task.Status != metadata.TaskSuccess {
		t.Errorf("task %+v", task)
	}
	// The same task again: its end is known.
	b = b.again()
	if again, err := b.clone(cloneRequest); err != nil || again.TaskID != got.TaskID || len(b.steps.Calls()) > 0 {
		t.Errorf("again: %+v, %v, %v", again, err, b.steps.Calls())
	}
}

// What holds several disks is judged disk by disk, and stays one file.
func TestCloneOfSeveralDisksIsOneImage(t *testing.T) {
	b := newBench(t)
	b.cloned()
	b.steps.OnDetect = func(context.Context, contract.DetectParams) (contract.Detected, detect.Report, error) {
		d := contract.Detected{Format: "vmdk", VirtualSize: 5 << 30, AllocatedSize: -1, Container: "ova"}
		for _, name := range []string{"a.vmdk", "b.vmdk"} {
			d.Disks = append(d.Disks, contract.DetectedDisk{Name: name, Format: "vmdk", VirtualSize: 5 << 30, AllocatedSize: -1, Properties: map[string]string{"hw_firmware_type": "uefi"}})
		}
		return d, detect.Report{Safe: true}, nil
	}
	got, err := b.clone(cloneRequest)
	if err != nil || len(got.Images) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if n := len(b.keys()); n != 1 {
		t.Errorf("%d conversions", n)
	}
	if _, found := b.image().Properties["hw_firmware_type"]; found {
		t.Error("what stands in the OVA became a property")
	}
}

func TestCloneImageFails(t *testing.T) {
	b := newBench(t)
	b.cloned()
	b.steps.OnChecksum = func(context.Context, contract.ChecksumParams, []byte, pipeline.Observe) (contract.Checksummed, error) {
		return contract.Checksummed{}, errcode.New(errcode.VerifyMismatch, "other bytes")
	}
	_, err := b.clone(cloneRequest)
	if v := ended(t, err); v.Code != errcode.VerifyMismatch {
		t.Errorf("ended with %+v", v)
	}
	b.wantStatus(metadata.TaskFailure, metadata.ImageQueued)
	removed := false
	for _, c := range b.steps.Cleanups() {
		removed = removed || c.Key != "" && !c.Success
	}
	if !removed {
		t.Errorf("cleaned up %+v", b.steps.Cleanups())
	}
}

// A clone is paused and cancelled as an import is.
func TestCloneImageIsCancelled(t *testing.T) {
	b := newBench(t)
	b.cloned()
	b.steps.OnConvert = func(ctx context.Context, _ contract.ConvertParams, _ pipeline.Observe) (contract.Converted, error) {
		b.env.CancelWorkflow()
		select {
		case <-ctx.Done():
		case <-time.After(30 * time.Second):
		}
		return contract.Converted{}, ctx.Err()
	}
	if _, err := b.clone(cloneRequest); err == nil {
		t.Fatal("the clone went on")
	}
	b.wantStatus(metadata.TaskFailure, metadata.ImageQueued)
	if e := b.task().Error; e == nil || e.Code != errcode.TaskCancelled {
		t.Errorf("failed with %+v", e)
	}
}

// Nor is a clone an import that says so.
func TestImportDoesNotClone(t *testing.T) {
	r := cloneRequest
	r.Method = contract.MethodClone
	b := newBench(t)
	_, err := b.run(r)
	if v := ended(t, err); v.Code != errcode.BadRequest || len(b.order()) > 0 {
		t.Errorf("ended with %+v after %v", v, b.order())
	}
}

func TestCloneImageChecksItsRequest(t *testing.T) {
	for name, change := range map[string]func(*contract.ImportRequest){
		"another method": func(r *contract.ImportRequest) { r.Method = contract.MethodLocate }, "no service": func(r *contract.ImportRequest) { r.Source.URL = "https://h/x" },
		"a target": func(r *contract.ImportRequest) { r.Target.Format = "raw" }, "a format": func(r *contract.ImportRequest) { r.Source.Format = "raw" },
		"a checksum": func(r *contract.ImportRequest) { r.Source.Checksum = "sha256:bb" }, "no url": func(r *contract.ImportRequest) { r.Source.URL = "" },
		"members":          func(r *contract.ImportRequest) { r.Source.Members = []contract.MemberSpec{{URL: "glance://h/x"}} },
		"mirrors":          func(r *contract.ImportRequest) { r.Source.Mirrors = []string{"https://h/x"} },
		"a signature":      func(r *contract.ImportRequest) { r.Source.Keyring = "k" },
		"a checksum file":  func(r *contract.ImportRequest) { r.Source.ChecksumFile = "auto" },
		"an id":            func(r *contract.ImportRequest) { r.ImageID = "x" },
		"as is, asked for": func(r *contract.ImportRequest) { r.Target.AsIs = true },
		"a container":      func(r *contract.ImportRequest) { r.Image.ContainerFormat = "bare" },
		"a type":           func(r *contract.ImportRequest) { r.TaskType = "import" },
	} {
		t.Run(name, func(t *testing.T) {
			r := cloneRequest
			change(&r)
			b := newBench(t)
			_, err := b.clone(r)
			if v := ended(t, err); v.Code != errcode.BadRequest || len(b.order()) > 0 {
				t.Errorf("ended with %+v after %v", v, b.order())
			}
		})
	}
}
