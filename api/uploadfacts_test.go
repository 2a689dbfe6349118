package api

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"ingest/formats/raw"
	"ingest/internal/imgtest"
	"ingest/internal/policy"
	"ingest/internal/provenance"
	"ingest/pipeline"
)

// What is known of an import's image is known of an upload's: the digest of its content,
// what is inside, and where it comes from.
func TestUploadHasFacts(t *testing.T) {
	rules, problems := policy.Parse("policy.yaml", []byte("version: 1\ndefaults:\n  properties:\n    hw_disk_bus: scsi\n    checked: {value: \"yes\", override: true}\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b := newUploadBench(t, func(d *Deps) {
		d.Policy = func() *policy.Policy { return rules }
		d.Uploads.(*pipeline.Pipeline).Guest = &pipeline.GuestOptions{}
	})
	disk := imgtest.New(4<<20, 3, imgtest.Run{Off: 1 << 20, Len: 2 << 20, Kind: imgtest.Noise})
	plain := make([]byte, 4<<20)
	imgtest.ReadFull(t, disk, plain, 0)
	packed, err := os.ReadFile(imgtest.Convert(t, imgtest.WriteRaw(t, disk), "raw", "qcow2"))
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := (&pipeline.Pipeline{}).Digest(t.Context(), raw.New(bytes.NewReader(plain), int64(len(plain))), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for image, body := range map[string][]byte{
		`{"disk_format":"raw","container_format":"bare","hw_disk_bus":"ide","checked":"no"}`:   plain,
		`{"disk_format":"qcow2","container_format":"bare","hw_disk_bus":"ide","checked":"no"}`: packed,
	} {
		path := b.newImage(image)
		b.put(path+"/file", bytes.NewReader(body)).want(t, 204, "")
		img := b.image(path)
		if img.ContentDigest != want {
			t.Errorf("%s: the content is %q, want %q", image, img.ContentDigest, want)
		}
		if img.Properties["hw_disk_bus"] != "ide" || img.Properties["checked"] != "yes" {
			t.Errorf("%s: properties %v", image, img.Properties)
		}
		var s provenance.Statement
		b.do("GET", "/v1/images/"+img.ID+"/provenance", "").want(t, 200, "").into(t, &s)
		p := s.Predicate
		dep := p.BuildDefinition.ResolvedDependencies
		if s.Subject[0].Digest["sha256"] != img.HashValue || p.Image.ContentDigest != want || len(dep) != 1 || dep[0].Digest["sha256"] != img.HashValue ||
			p.RunDetails.Metadata.StartedOn == "" || p.Detection == nil || p.Structure == nil || p.Guest == nil {
			raw, _ := json.MarshalIndent(s, "", " ")
			t.Errorf("%s: the record is %s", image, raw)
		}
	}
	path := b.newImage(rawImage)
	b.put(path+"/file", bytes.NewReader(nil)).want(t, 204, "")
	if img := b.image(path); img.ContentDigest != "" {
		t.Errorf("nothing has the content %q", img.ContentDigest)
	}
}

// A compressed cluster that is none is found although no table tells of it.
func TestUploadIsReadWhole(t *testing.T) {
	b := newUploadBench(t)
	dir := t.TempDir()
	disk := make([]byte, 8<<20)
	for i := range disk {
		disk[i] = byte(i>>12) * byte(i%251)
	}
	if err := os.WriteFile(dir+"/raw", disk, 0o600); err != nil {
		t.Fatal(err)
	}
	imgtest.QemuImg(t, "convert", "-c", "-f", "raw", "-O", "qcow2", dir+"/raw", dir+"/q")
	q, err := os.ReadFile(dir + "/q")
	if err != nil {
		t.Fatal(err)
	}
	copy(q[len(q)-96<<10:], bytes.Repeat([]byte{0xff}, 16<<10))
	path := b.newImage(qcow2Image)
	b.put(path+"/file", bytes.NewReader(q)).want(t, 415, "")
	b.nothingLeft(path)
}
