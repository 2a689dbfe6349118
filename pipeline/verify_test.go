package pipeline_test

import (
	"path/filepath"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

func TestLevelOfVerification(t *testing.T) {
	src := imgtest.WriteRaw(t, imgtest.New(8<<20, 3, imgtest.Run{Len: 5 << 20, Kind: imgtest.Noise}))
	for _, c := range []struct {
		level  string
		format string
		at     float64 // of the stored bytes that are damaged, 0 for none
		want   errcode.Code
	}{
		{"full", "raw", 0, ""},
		{"stored", "raw", 0, ""},
		{"none", "raw", 0, ""},
		{"full", "qcow2", 0, ""},
		{"stored", "qcow2", 0, ""},
		{"none", "qcow2", 0, ""},
		{"stored", "raw", 0.5, errcode.VerifyMismatch},
		{"none", "raw", 0.5, ""},
		{"full", "qcow2", 0.9, errcode.VerifyMismatch},
		{"stored", "qcow2", 0.9, ""}, // in the guest's data
		{"stored", "qcow2", 1e-9, errcode.VerifyMismatch},
		{"none", "qcow2", 1e-9, ""},
	} {
		p, store := newPipeline(t, filepath.Dir(src))
		p.VerifyMinimum = contract.VerifyNone
		j := newJob(src, contract.TargetSpec{Format: c.format})
		j.verify = c.level
		if err := j.run(t, p); err != nil {
			t.Fatal(err)
		}
		if j.checksummed.Verify != c.level || j.checksummed.HashValue == "" {
			t.Errorf("%+v: %+v", c, j.checksummed)
		}
		f := imgtest.OpenFile(t, objectFile(t, p, j, ".bin"))
		if got := "sha256:" + j.checksummed.HashValue; got != sha256Of(t, objectFile(t, p, j, ".bin")) {
			t.Errorf("%+v: stored digest %s", c, got)
		}
		again := newJob(src, j.target)
		again.fetched, again.detected, again.verify = j.fetched, j.detected, c.level
		var err error
		params := again.convertParams()
		params.Verify = "" // nothing is read back before it is damaged
		if again.converted, err = p.Convert(t.Context(), params, nil); err != nil {
			t.Fatal(err)
		}
		up, err := store.Resume(t.Context(), again.converted.UploadID)
		if err != nil {
			t.Fatal(err)
		}
		if c.at > 0 {
			_, err = up.WriteAt([]byte{0xa5, 0x5a}, int64(float64(f.Size())*c.at))
		}
		up.Close()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Checksum(t.Context(), again.checksumParams(), nil, nil); errcode.Of(err) != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// What an import asks for is held against the policy when it is planned, and
// once more when it is run: the policy may have become stricter.
func TestPolicyOfVerification(t *testing.T) {
	src := imgtest.WriteRaw(t, imgtest.New(1<<20, 3, imgtest.Run{Len: 5 << 10, Kind: imgtest.Noise}))
	for _, c := range []struct {
		level, least, asked string
		want                string
		code                errcode.Code
	}{
		{"", "", "", "full", ""},
		{"stored", "", "", "stored", ""},
		{"stored", "", "none", "", errcode.Forbidden},
		{"full", "none", "none", "none", ""},
		{"full", "stored", "some", "", errcode.BadRequest},
	} {
		p, _ := newPipeline(t, filepath.Dir(src))
		p.Verify, p.VerifyMinimum = c.level, c.least
		j := newJob(src, contract.TargetSpec{Format: "qcow2"})
		j.verify = c.asked
		if err := j.run(t, p); errcode.Of(err) != c.code || j.checksummed.Verify != c.want {
			t.Errorf("%+v: verified %q, %v", c, j.checksummed.Verify, err)
		}
		if c.code != "" {
			continue
		}
		p.Verify, p.VerifyMinimum = "full", "full"
		again := newJob(src, j.target)
		again.fetched, again.detected, again.verify = j.fetched, j.detected, j.checksummed.Verify
		var err error
		if again.converted, err = p.Convert(t.Context(), again.convertParams(), nil); err != nil {
			t.Fatal(err)
		}
		if sums, err := p.Checksum(t.Context(), again.checksumParams(), nil, nil); err != nil || sums.Verify != "full" {
			t.Errorf("%+v: under a stricter policy verified %q, %v", c, sums.Verify, err)
		}
	}
}
