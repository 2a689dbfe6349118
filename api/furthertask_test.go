package api

import (
	"encoding/json"
	"testing"

	"ingest/internal/contract"
	"ingest/metadata"
)

// TestTaskOfAFurtherImage activates the two disks of one machine: both images list
// the task that made them.
func TestTaskOfAFurtherImage(t *testing.T) {
	b := newBench(t)
	s := b.submit(someImport)
	if err := b.cat.Start(t.Context(), s.TaskID); err != nil {
		t.Fatal(err)
	}
	second := contract.DiskImageID(s.TaskID, s.ImageID, 2)
	result := contract.ImportResult{TaskID: s.TaskID}
	act := metadata.Activation{TaskID: s.TaskID}
	for _, id := range []string{s.ImageID, second} {
		result.Images = append(result.Images, contract.ImageResult{ImageID: id})
		act.Images = append(act.Images, metadata.ImageActivation{ImageID: id, Name: id, DiskFormat: "qcow2", ContainerFormat: "bare", Size: 1, VirtualSize: 1 << 20,
			HashAlgo: "sha512", HashValue: "abc", ContentDigest: "d", Store: "local", Key: id + "/u"})
	}
	var err error
	if act.Result, err = json.Marshal(result); err != nil {
		t.Fatal(err)
	}
	if err := b.cat.Activate(t.Context(), act); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{s.ImageID, second} {
		var got struct{ Tasks []struct{ ID string } }
		b.do("GET", "/v2/images/"+id+"/tasks", "").want(t, 200, "").into(t, &got)
		if len(got.Tasks) != 1 || got.Tasks[0].ID != s.TaskID {
			t.Errorf("image %s lists %+v, want task %s", id, got.Tasks, s.TaskID)
		}
	}
}
