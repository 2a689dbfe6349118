package main

import (
	"context"
	"encoding/json"
	"testing"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/metadata"
)

// succeedTwice ends an import of a source with two disks.
func succeedTwice(m *machine, r contract.ImportRequest) {
	second := contract.DiskImageID(r.TaskID, r.ImageID, 2)
	res, err := json.Marshal(contract.ImportResult{TaskID: r.TaskID, Images: []contract.ImageResult{
		{ImageID: r.ImageID, Name: r.Image.Name, Size: 1}, {ImageID: second, Name: contract.DiskName(r.Image.Name, 2), Size: 2},
	}})
	ctx := context.Background()
	if err == nil {
		err = m.cat.Start(ctx, r.TaskID)
	}
	for _, e := range []metadata.Event{{Stage: "convert", Message: contract.DiskMessage(2)}, {Stage: "convert", Message: contract.DiskMessage(2), Duration: 1e9, Attempt: 1}} {
		if err == nil {
			err = m.cat.SetStage(ctx, r.TaskID, e)
		}
	}
	if err == nil {
		err = m.cat.Activate(ctx, metadata.Activation{TaskID: r.TaskID, Result: res, Images: []metadata.ImageActivation{
			{ImageID: r.ImageID, DiskFormat: "qcow2", Size: 1, VirtualSize: 1 << 30, Store: "local", Key: r.ImageID + "/u"},
			{ImageID: second, Name: contract.DiskName(r.Image.Name, 2), DiskFormat: "qcow2", Size: 2, VirtualSize: 2 << 30, Store: "local", Key: second + "/u",
				Properties: map[string]string{"hw_firmware_type": "uefi"}},
		}})
	}
	if err != nil {
		m.t.Error(err)
	}
}

// All images of a source with several disks are shown, in their order.
func TestImportOfSeveralDisks(t *testing.T) {
	m := newMachine(t, succeedTwice)
	m.ingest("import", "https://example.org/machine.ova", "--name", "m").want(t, 0,
		`id +`+uuidPattern+`\nname +m\n.*virtual size +1.00 GiB.*\n\nid +`+uuidPattern+`\nname +m-disk2\n.*virtual size +2.00 GiB.*property +hw_firmware_type=uefi\n`, `.*convert 2 .*`)
	r := m.asked[0]
	m.ingest("task", "show", r.TaskID).want(t, 0, `.*image +`+r.ImageID+`\nfurther images +`+contract.DiskImageID(r.TaskID, r.ImageID, 2)+`\n.*begins, disk 2\n.*ends, disk 2\n.*`, "")
	var list wire.ImageList
	o := m.ingest("import", "https://example.org/machine.ova", "--name", "n", "--json", "-q").want(t, 0, `.*`, ``)
	if err := json.Unmarshal([]byte(o.out), &list); err != nil || len(list.Images) != 2 || list.Images[0].Name != "n" || list.Images[1].Name != "n-disk2" {
		t.Errorf("%v in %s", err, o.out)
	}
}
