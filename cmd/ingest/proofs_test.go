package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/imgtest"
	"ingest/internal/verify/verifytest"
	"ingest/pipeline"
)

// A conversion is held against a list that gpg has signed, with the keys in a file.
func TestConvertProves(t *testing.T) {
	g := verifytest.New(t)
	key := g.Key("Publisher <p@example.org>", "ed25519", "never")
	image, err := os.ReadFile(imgtest.Create(t, "qcow2", 4<<20))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	put := func(name string, p []byte) {
		if err := os.WriteFile(name, p, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("disk.qcow2", image)
	sums, err := exec.Command("sha512sum", "disk.qcow2").Output()
	if err != nil {
		t.Fatal(err)
	}
	put("SHA512SUMS", sums)
	put("SHA512SUMS.sign", g.Detach(key, sums))
	put("changed", append(sums, '\n'))
	put("keys.gpg", g.Export(key))

	signed := []string{"--checksum-file", "auto", "--signature", "SHA512SUMS.sign", "--keyring", "keys.gpg"}
	runLocal(t, append([]string{"convert", "disk.qcow2", "a.vhd", "-q"}, signed...)...).
		want(t, 0, `file +a.vhd\nsource proved by +checksum file, signature by `+key+`\n.*`, ``)
	o := runLocal(t, append([]string{"convert", "disk.qcow2", "b.vhd", "--json"}, signed...)...).want(t, 0, `.*`, ``)
	var done pipeline.Conversion
	if err := json.Unmarshal([]byte(o.out), &done); err != nil || len(done.Proofs) != 2 || done.Proofs[1].Kind != contract.VerifiedSignature || done.Proofs[1].Keyring != "keys" {
		t.Errorf("%v: %s", err, o.out)
	}
	runLocal(t, append([]string{"convert", "disk.qcow2", "c.vhd", "-q", "--dry-run"}, signed...)...).
		want(t, 0, `would be accepted.*proves +digests in a file beside the source auto\n.*proves +OpenPGP signature .*keyring keys\n.*`, ``)

	signed[1] = "changed"
	for _, more := range [][]string{nil, {"--dry-run"}} {
		runLocal(t, append(append([]string{"convert", "disk.qcow2", "c.vhd", "-q"}, signed...), more...)...).
			want(t, 1, `.*`, `error: IMG_SIGNATURE_INVALID .*what to do: .*`)
	}
	runLocal(t, "convert", "disk.qcow2", "c.vhd", "-q", "--checksum", "sha256:00").want(t, 1, ``, `error: IMG_CHECKSUM_.*`)
	runLocal(t, "convert", "disk.qcow2", "c.vhd", "--signature", "auto").want(t, 2, ``, `.*--signature needs --keyring FILE.*`)
	runLocal(t, "convert", "disk.qcow2", "c.vhd", "--keyring", "absent.gpg").want(t, 1, ``, `error: .*absent.gpg cannot be read.*`)
	if _, err := os.Stat("c.vhd"); err == nil {
		t.Error("a file was made of what was refused")
	}
}
