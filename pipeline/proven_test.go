package pipeline_test

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/pipeline"
	"ingest/stores"
	"ingest/stores/fs"
)

// convertProved converts a source that must be proved, and says which stages began.
func convertProved(t *testing.T, p *pipeline.Pipeline, url, dst string, want pipeline.Proofs) (pipeline.Conversion, []string, error) {
	t.Helper()
	var stages []string
	out, err := p.ConvertTo(t.Context(), pipeline.ConvertRequest{
		URLs: []string{url}, Proofs: want, Target: contract.TargetSpec{Format: "qcow2"},
		Begin: func() (stores.Upload, error) { return fs.BeginFile(dst, false) },
	}, func(s string) { stages = append(stages, s) }, nil)
	return out, stages, err
}

// A conversion without a server is held against a publisher's list and signature, of
// files and over a network.
func TestProvedConversion(t *testing.T) {
	p := newPublisher(t)
	for _, from := range []string{p.dir + "/", p.url} {
		for _, name := range []string{"disk.img", "disk.qcow2", "disk.img.gz"} {
			dst := filepath.Join(t.TempDir(), "out.qcow2")
			out, stages, err := convertProved(t, p.pipeline(t), from+name, dst, pipeline.Proofs{ChecksumFile: "auto", Signature: "auto", Keyring: "pub"})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			imgtest.QemuImg(t, "compare", dst, filepath.Join(p.dir, "disk.img"))
			if len(out.Proofs) != 2 || out.Proofs[0].Kind != contract.VerifiedChecksumFile || out.Proofs[1].Fingerprint != p.key || stages[0] != "prove" || stages[1] != "check" {
				t.Errorf("%s: %v, proved by %+v", name, stages, out.Proofs)
			}
		}
	}
	right, wrong := "sha256:"+sum256(p.files["disk.img"]), "sha256:"+sum256(nil)
	p.files["OTHER.gpg"] = p.gpg.Detach(p.gpg.Key("stranger", "ed25519", "never"), p.files["SHA256SUMS"])
	for _, c := range []struct {
		name string
		want pipeline.Proofs
		code errcode.Code
	}{
		{"digest", pipeline.Proofs{Checksum: right}, ""},
		{"wrong digest", pipeline.Proofs{Checksum: wrong}, errcode.ChecksumMismatch},
		{"wrong digest beside a right list", pipeline.Proofs{Checksum: wrong, ChecksumFile: "auto"}, errcode.ChecksumMismatch},
		{"stranger", pipeline.Proofs{ChecksumFile: "auto", Signature: p.url + "OTHER.gpg", Keyring: "pub"}, errcode.SignatureKeyUnknown},
		{"unsigned", pipeline.Proofs{Signature: "auto", Keyring: "pub"}, errcode.SignatureMissing},
	} {
		for _, from := range []string{p.dir + "/", p.url} {
			dir := t.TempDir()
			_, stages, err := convertProved(t, p.pipeline(t), from+"disk.img", filepath.Join(dir, "out.qcow2"), c.want)
			if errcode.Of(err) != c.code || c.code != "" && len(stages) != 1 {
				t.Errorf("%s from %s: %v, %v", c.name, from, stages, err)
			}
			if c.code != "" {
				empty(t, dir)
			}
		}
	}
	_, err := p.pipeline(t).ConvertTo(t.Context(), pipeline.ConvertRequest{URLs: []string{p.dir + "/disk.img", p.dir + "/disk.qcow2"},
		Proofs: pipeline.Proofs{Checksum: right}, Target: contract.TargetSpec{Format: "ova"}}, func(string) {}, nil)
	if errcode.Of(err) != errcode.BadRequest {
		t.Errorf("two sources: %v", err)
	}
}

// What was proved is what is read: a server that sends other bytes afterwards is not
// asked again.
func TestProvedBytesAreKept(t *testing.T) {
	p := newPublisher(t)
	good := p.files["disk.img"]
	pl := p.pipeline(t)
	dst := filepath.Join(t.TempDir(), "out.qcow2")
	_, err := pl.ConvertTo(context.Background(), pipeline.ConvertRequest{
		URLs: []string{p.url + "disk.img"}, Proofs: pipeline.Proofs{Checksum: "sha256:" + sum256(good)}, Target: contract.TargetSpec{Format: "qcow2"},
		Begin: func() (stores.Upload, error) { return fs.BeginFile(dst, false) },
	}, func(stage string) {
		if stage == "check" { // with the same ETag
			p.mu.Lock()
			p.files["disk.img"] = bytes.Repeat([]byte{0xee}, len(good))
			p.mu.Unlock()
		}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	imgtest.QemuImg(t, "compare", dst, filepath.Join(p.dir, "disk.img"))
}
