package main

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/provenance"
	"ingest/metadata"
)

// recorded ends an import well, with a record that says what change makes of it.
func recorded(key *provenance.Key, change func(*contract.DiskDone)) func(*machine, contract.ImportRequest) {
	return func(m *machine, r contract.ImportRequest) {
		sum := sha512.Sum512(m.data)
		d := contract.DiskDone{Disk: 1, ImageID: r.ImageID, Target: contract.TargetSpec{Format: "qcow2", Compression: "zstd"},
			Converted:   contract.Converted{Size: int64(len(m.data)), VirtualSize: 1 << 30, ContentDigest: "c0ffee"},
			Checksummed: contract.Checksummed{HashAlgo: "sha512", HashValue: hex.EncodeToString(sum[:]), Verify: "full"}}
		said := d
		change(&said)
		doc, err := provenance.Recorder{Key: key, Versions: provenance.Versions("test")}.Record(provenance.Import{
			Request: r, Done: said, Detected: contract.Detected{Format: "vmdk", Subformat: "streamOptimized"},
			Fetched: contract.Fetched{URL: r.Source.URL, Driver: "http", Size: 5, SourceSize: 3, Layer: "gzip", SourceDigest: "sha256:" + strings.Repeat("ab", 32),
				Origin:        &contract.Origin{URL: "https://cdn.example.org/x?sig=secret", Redirects: []string{"https://cdn.example.org/x?sig=secret"}, Address: "192.0.2.1:443"},
				Verifications: []contract.Verification{{Kind: contract.VerifiedSignature, Fingerprint: "F00D", Keyring: "debian", URL: "https://example.org/SHA256SUMS"}}},
		})
		if err == nil {
			err = m.cat.Start(context.Background(), r.TaskID)
		}
		if err == nil {
			err = m.cat.Activate(context.Background(), metadata.Activation{TaskID: r.TaskID, Result: json.RawMessage(`{}`), Images: []metadata.ImageActivation{{
				ImageID: r.ImageID, DiskFormat: "qcow2", Size: d.Converted.Size, VirtualSize: d.Converted.VirtualSize, HashAlgo: "sha512", HashValue: d.Checksummed.HashValue,
				ContentDigest: "c0ffee", Store: "local", Key: r.ImageID + "/u", Provenance: doc}}})
		}
		if err != nil {
			m.t.Error(err)
		}
	}
}

func TestImageProvenance(t *testing.T) {
	t.Chdir(t.TempDir())
	key, err := provenance.NewKey("key.pem")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provenance.NewKey("other.pem"); err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, recorded(key, func(*contract.DiskDone) {}))
	m.ingest("import", "https://example.org/disk.vmdk.gz?token=secret", "--name", "debian", "-q").want(t, 0, `.*`, "")

	o := m.ingest("image", "provenance", "debian").want(t, 0, `image +`+uuidPattern+`\nsource +https://example.org/disk.vmdk.gz\n +behind redirects +https://cdn.example.org/x\n`+
		` +address +192.0.2.1:443\n +size +3 B \(3 bytes\)\n +digest +sha256:(ab){32}\nchain +gzip > vmdk streamOptimized > qcow2 zstd\nstored +586 KiB .*`+
		`read back +full\nverified +signature in https://example.org/SHA256SUMS by F00D of keyring debian\ntask .*made by +go .*, ingest test\nsigned by +`+key.ID()+` .*`, "")
	if strings.Contains(o.out, "secret") {
		t.Errorf("a secret is shown:\n%s", o.out)
	}
	m.ingest("image", "provenance", "debian", "--verify", "--key", "key.pem.pub", "--data", "-q").
		want(t, 0, `.*check of signature +ok, key `+key.ID()+`\ncheck of catalogue +ok\ncheck of bytes +ok, 600000 bytes read\n`, "")
	m.ingest("image", "provenance", "debian", "--verify").want(t, 0, `.*check of signature +not checked: .*--key\ncheck of catalogue +ok\ncheck of bytes +not checked.*`, "")
	m.ingest("image", "provenance", "debian", "--verify", "--key", "other.pem.pub").
		want(t, 1, `.*check of signature +failed\ncheck of catalogue +ok\n.*`, `error: PROVENANCE_SIGNATURE_INVALID .*what to do.*`)
	m.ingest("image", "provenance", "debian", "--verify", "--key", "key.pem").want(t, 1, "", `error: PROVENANCE_KEY_INVALID .*private key.*`)
	m.ingest("image", "provenance", "debian", "--data").want(t, 2, "", `.*belong to --verify.*`)
	m.ingest("image", "provenance", "debian", "--envelope", "--json").want(t, 2, "", `.*--envelope.*`)

	var shown struct {
		Statement    provenance.Statement
		KeyIDs       []string
		Verification verdict
	}
	o = m.ingest("image", "provenance", "debian", "--verify", "--key", "key.pem.pub", "--json").want(t, 0, `.*`, "")
	if err := json.Unmarshal([]byte(o.out), &shown); err != nil || shown.Verification.Signature != "ok" || shown.Verification.Data != "not checked" ||
		len(shown.KeyIDs) != 1 || shown.Statement.Predicate.Image.VirtualSize != 1<<30 {
		t.Errorf("%v in %s", err, o.out)
	}
	envelope := m.ingest("image", "provenance", "debian", "--envelope").want(t, 0, `.*`, "").out
	d, err := provenance.Open([]byte(envelope))
	if err != nil || d.Verify(key.Public()) != nil {
		t.Errorf("the envelope as it is kept: %v", err)
	}

	// Other bytes of the same length are found when they are read, and not before.
	m.data = []byte(strings.Repeat("other ", 100_000))
	m.ingest("image", "provenance", "debian", "--verify", "-q").want(t, 0, `.*`, "")
	m.ingest("image", "provenance", "debian", "--verify", "--data", "-q").want(t, 1, `.*check of bytes +failed.*`, `error: PROVENANCE_MISMATCH .*sha512 of the bytes.*`)
	// A catalogue that was altered shows at once.
	if _, err := m.cat.UpdateImage(context.Background(), d.Statement.Subject[0].Name, func(i *metadata.Image) error { i.HashValue = "00"; return nil }); err != nil {
		t.Fatal(err)
	}
	m.ingest("image", "provenance", "debian", "--verify").want(t, 1, `.*check of catalogue +failed\n +sha512 +".*" in the record, "00" in the catalogue\n.*`, `error: PROVENANCE_MISMATCH .*`)
}

func TestImageWithoutProvenance(t *testing.T) {
	m := newMachine(t, succeed)
	m.ingest("import", "https://example.org/d", "--name", "n", "-q").want(t, 0, `.*`, "")
	m.ingest("image", "provenance", "n").want(t, 1, "", `error: NOT_FOUND .*what gives it its bytes makes one.*`)
	unsigned := newMachine(t, recorded(nil, func(d *contract.DiskDone) { d.Converted.ContentDigest = "other" }))
	unsigned.ingest("import", "https://example.org/d", "--name", "n", "-q").want(t, 0, `.*`, "")
	unsigned.ingest("image", "provenance", "n").want(t, 0, `.*signed by +nobody\n`, "")
	unsigned.ingest("image", "provenance", "n", "--verify").want(t, 1, `.*content digest +"other" in the record, "c0ffee" in the catalogue.*`, `error: PROVENANCE_MISMATCH .*`)
}

func TestProvenanceKeyNew(t *testing.T) {
	t.Chdir(t.TempDir())
	run := func(args ...string) outcome {
		m := &machine{t: t}
		var out, errOut strings.Builder
		g := &globals{}
		code := execute(context.Background(), g, serverCommands(g), args, &out, &errOut)
		return outcome{code, out.String(), errOut.String()}.want(m.t, code, `.*`, `.*`)
	}
	run("provenance", "key", "new", "k.pem").want(t, 0, `private +k.pem\npublic +k.pem.pub\nkey id +[0-9a-f]{64}\n`, "")
	run("provenance", "key", "new", "k.pem").want(t, 1, "", `error: DESTINATION_EXISTS .*`)
	dir, err := filepath.Abs("data")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod("k.pem", 0o644); err != nil {
		t.Fatal(err)
	}
	run("serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--provenance-key", "k.pem").want(t, 1, "", `.*PROVENANCE_KEY_INVALID.*chmod 600.*--provenance-key.*`)
}
